package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"writ/fixtures/gitserver"
	"writ/manifest/schema"
)

// What init writes passes the strictest check, as a pull request of its own and with all that it uses.
func TestInit(t *testing.T) {
	p := gitserver.NewWorkTree(t)
	p.Commit("first", map[string]string{"LICENSE": "x"})
	dir := filepath.Join(p.Dir, "new", "cluster")
	code, out, errOut := writ(t, "init", dir)
	if code != exitFine || !strings.Contains(out, filepath.Join(dir, "writ.yaml")) || !strings.Contains(errOut, "writ up --repo "+dir) {
		t.Fatalf("init: exit code %d\n%s%s", code, out, errOut)
	}
	for _, args := range [][]string{{}, {"--base", "main"}, {"-o", "json"}} {
		code, out, errOut := writ(t, append([]string{"check", dir, "--strict", "--advice"}, args...)...)
		if code != exitFine || strings.Contains(out, "note:") || strings.Contains(out, "not supported") {
			t.Errorf("check %v: exit code %d\n%s%s", args, code, out, errOut)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, schemaFile))
	if err != nil {
		t.Fatal(err)
	}
	_, printed, _ := writ(t, "schema")
	if string(text) != printed || !strings.Contains(printed, schema.Draft) || !json.Valid(text) {
		t.Errorf("the schema in the repository is not the one that is printed:\n%s", printed)
	}
	settings, err := os.ReadFile(filepath.Join(dir, "writ.yaml"))
	if err != nil || !strings.HasPrefix(string(settings), "# yaml-language-server: $schema="+schemaFile+"\n") {
		t.Errorf("writ.yaml, %v:\n%s", err, settings)
	}
	for _, name := range []string{".github/workflows/check.yaml", ".pre-commit-config.yaml"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		var parsed map[string]any
		if err != nil || yaml.UnmarshalStrict(text, &parsed) != nil || !strings.Contains(string(text), "writ check") {
			t.Errorf("%s, %v:\n%s", name, err, text)
		}
	}
}

func TestInit_OverwritesNothing(t *testing.T) {
	p := gitserver.NewWorkTree(t)
	dir := p.Dir
	p.Write(map[string]string{"README.md": "mine"})
	if code, _, errOut := writ(t, "init", dir); code != exitFine || !strings.Contains(errOut, "README.md was there already") {
		t.Fatalf("beside a README: exit code %d, %s", code, errOut)
	}
	p.Write(map[string]string{"writ.yaml": "mine", "hello/service.yaml": "mine", "hello/config.yaml": ""})
	code, _, errOut := writ(t, "init", dir)
	if code != exitError || !strings.Contains(errOut, "hello/service.yaml, writ.yaml are in the way; nothing was written") {
		t.Errorf("over files: exit code %d, %s", code, errOut)
	}
	for _, name := range []string{"README.md", "writ.yaml", "hello/service.yaml"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != "mine" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "hello/config.yaml")); err == nil {
		t.Error("something was written")
	}
	file := filepath.Join(dir, "file")
	p.Write(map[string]string{"file": "x"})
	if code, _, errOut := writ(t, "init", file); code != exitError {
		t.Errorf("into a file: exit code %d, %s", code, errOut)
	}
	// A link that leads out is nothing to write through.
	other, linked := t.TempDir(), t.TempDir()
	if err := os.Symlink(other, filepath.Join(linked, "hello")); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := writ(t, "init", linked); code != exitError {
		t.Errorf("through a link: exit code %d", code)
	}
	if left, err := os.ReadDir(other); err != nil || len(left) > 0 {
		t.Errorf("outside there is %v, %v", left, err)
	}
}
