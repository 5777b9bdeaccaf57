package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writ runs the command line with args and returns exit code, output and error output.
func writ(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestRun_Usage(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		args []string
		code int
		text string
	}{
		"help":                {[]string{"--help"}, exitFine, ""},
		"unknown command":     {[]string{"run"}, exitUsage, `there is no command "run"`},
		"unknown flag":        {[]string{"status", "--loud"}, exitUsage, "--loud"},
		"too many words":      {[]string{"status", "now"}, exitUsage, "see `writ status --help`"},
		"no object":           {[]string{"logs", "web"}, exitUsage, "is not kind/name"},
		"bad output":          {[]string{"status", "-o", "xml"}, exitUsage, "only json"},
		"check, bad output":   {[]string{"check", "-o", "xml"}, exitUsage, "text, json and github"},
		"version, bad output": {[]string{"version", "-o", "xml"}, exitUsage, "only json"},
		"logs have no output": {[]string{"logs", "pod/a", "-o", "json"}, exitUsage, "-o"},
		"bad wait":            {[]string{"status", "--wait=soon"}, exitUsage, "--wait=soon"},
		"no repository":       {[]string{"up"}, exitUsage, "--repo is missing"},
		"no daemon":           {[]string{"status", "--run-dir", nowhere}, exitError, "no daemon answers on " + nowhere},
		"no daemon to end":    {[]string{"down", "--run-dir", nowhere}, exitError, "no daemon answers"},
		"no such folder":      {[]string{"check", nowhere}, exitError, nowhere},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errOut := writ(t, c.args...)
			if code != c.code || !strings.Contains(errOut, c.text) {
				t.Errorf("exit code %d and %q, want %d and %q", code, errOut, c.code, c.text)
			}
		})
	}
}

func TestRun_Check(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	if code, _, errOut := writ(t, "check", dir); code != exitFine || !strings.Contains(errOut, "1 object, no mistakes") {
		t.Errorf("clean tree: exit code %d, %q", code, errOut)
	}
	write("b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndatta: {}\n")
	write("c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	code, out, _ := writ(t, "check", dir)
	if code != exitError || !strings.Contains(out, `b.yaml:4: ConfigMap/default/b: `) || !strings.Contains(out, "c.yaml") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	code, out, _ = writ(t, "check", dir, "-o", "json")
	var result checked
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != exitError || len(result.Mistakes) < 2 || result.Schema == "" {
		t.Errorf("exit code %d, %v:\n%s", code, err, out)
	}
}

func TestRun_Version(t *testing.T) {
	code, out, _ := writ(t, "version")
	if code != exitFine || !strings.HasPrefix(out, "writ ") {
		t.Errorf("exit code %d, %q", code, out)
	}
}
