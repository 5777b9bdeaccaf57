package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestFillFlags_Precedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "writ.yaml")
	if err := os.WriteFile(file, []byte("repo: from-file\nnode: from-file\nref: from-file\ninterval: 30s\ndns-rate: 5\nmax-image-files: 4194304\nlog-format:\nregistry-ca-file: [a, b]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"WRIT_REPO": "from-env", "WRIT_NODE": "from-env"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	var c config
	flags := pflag.NewFlagSet("up", pflag.ContinueOnError)
	c.flags(flags)
	if err := flags.Parse([]string{"--repo", "from-flag"}); err != nil {
		t.Fatal(err)
	}
	if err := fillFlags(flags, lookup, file); err != nil {
		t.Fatal(err)
	}
	if c.image.files != 4194304 || strings.Join(c.image.cas, " ") != "a b" || c.logFormat != "" {
		t.Errorf("max-image-files %d registry-ca-file %q log-format %q", c.image.files, c.image.cas, c.logFormat)
	}
	if c.repo != "from-flag" || c.node != "from-env" || c.ref != "from-file" || c.interval != 30*time.Second || c.dnsRate != 5 || c.dataDir != defaultDataDir {
		t.Errorf("repo %q node %q ref %q interval %s dns-rate %d data-dir %q", c.repo, c.node, c.ref, c.interval, c.dnsRate, c.dataDir)
	}
}

func TestFillFlags_Mistakes(t *testing.T) {
	for name, c := range map[string]struct{ file, env, want string }{
		"unknown setting": {file: "repos: x\n", want: `there is no setting "repos"`},
		"not yaml":        {file: "repo: [\n", want: "writ.yaml"},
		"twice":           {file: "repo: a\nrepo: b\n", want: `"repo" already set`},
		"bad value":       {file: "interval: soon\n", want: "interval"},
		"bad environment": {env: "soon", want: "WRIT_INTERVAL"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "writ.yaml")
			if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			var cfg config
			flags := pflag.NewFlagSet("up", pflag.ContinueOnError)
			cfg.flags(flags)
			err := fillFlags(flags, func(n string) (string, bool) { return c.env, c.env != "" && n == "WRIT_INTERVAL" }, file)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestConfig_ValidateSaysEverything(t *testing.T) {
	c := config{node: "No Good", shim: "/nowhere", logLevel: "loud", logFormat: "xml", reservedCPU: "many", reservedMem: "1Gi", metrics: "0.0.0.0:1",
		dataDir: "/var/lib/writ", runDir: "/var/lib/writ/run", dnsRate: -1}
	err := c.Validate()
	if err == nil {
		t.Fatal("nothing is wrong with it")
	}
	for _, want := range []string{"--repo", "--node", "--shim", "--log-level", "--log-format", "--reserved-cpu", "--metrics-listen", "--dns-rate", "--run-dir /var/lib/writ/run"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not speak of %s", err, want)
		}
	}
}
