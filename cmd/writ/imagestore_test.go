package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestImageConfig(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // empty: it is fine
	}{
		{nil, ""},
		{[]string{"--registry-mirror", "docker.io=mirror.example:5000", "--registry-mirror", "*=cache.example/all", "--registry-insecure", "lab.example:5000"}, ""},
		{[]string{"--image-gc-high-threshold", "100", "--image-gc-low-threshold", "100", "--image-maximum-gc-age", "24h"}, ""},
		{[]string{"--registry-mirror", "docker.io"}, "want REGISTRY=ADDRESS"},
		{[]string{"--registry-insecure", "http://lab"}, "want host or host:port"},
		{[]string{"--registry-config", "config.json"}, "a path from the root on"},
		{[]string{"--credential-helper-dir", "bin"}, "a path from the root on"},
		{[]string{"--registry-ca-file", "/does/not/exist.pem"}, "/does/not/exist.pem"},
		{[]string{"--image-gc-low-threshold", "90"}, "the low one not above the high one"},
		{[]string{"--image-gc-high-threshold", "101"}, "1 to 100"},
		{[]string{"--image-minimum-gc-age", "0s"}, "positive"},
		{[]string{"--image-maximum-gc-age", "1s"}, "not below the minimum"},
		{[]string{"--max-image-size", "much"}, "is not a size"},
	} {
		var cfg imageConfig
		f := pflag.NewFlagSet("up", pflag.ContinueOnError)
		cfg.flags(f)
		if err := f.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		err := cfg.validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.args, err, c.want)
		}
	}
}

func TestImageConfig_FromTheNodesFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "writ.yaml")
	text := "registry-mirror:\n- docker.io=mirror.example\n- quay.io=mirror.example/quay\nregistry-insecure: [lab.example]\nregistry-config: /etc/writ/registries.json\nimage-gc-high-threshold: 70\nimage-gc-low-threshold: 60\nimage-minimum-gc-age: 5m\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var cfg imageConfig
	f := pflag.NewFlagSet("up", pflag.ContinueOnError)
	cfg.flags(f)
	if err := fillFlags(f, func(string) (string, bool) { return "", false }, file); err != nil {
		t.Fatal(err)
	}
	if err := cfg.validate(); err != nil {
		t.Fatal(err)
	}
	store, gc := cfg.store("/data"), cfg.gc()
	if len(store.Mirrors) != 2 || store.Mirrors[1] != "quay.io=mirror.example/quay" || len(store.Insecure) != 1 || store.RegistryConfig != "/etc/writ/registries.json" {
		t.Errorf("store is told %+v", store)
	}
	if gc.High != 70 || gc.Low != 60 || gc.MinAge != 5*time.Minute || gc.MaxAge != 0 {
		t.Errorf("collection is told %+v", gc)
	}
}
