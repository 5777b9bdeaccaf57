package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClaimAndPurge(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(dir, imagesDir), 0o755); err != nil { // archives may be there first
		t.Fatal(err)
	}
	for range 2 {
		if err := claim(dir); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, markerFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("marker: %v, %v", info, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v, want mode 700", info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "store"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := purge(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after purge: %v, want no folder", err)
	}
}

func TestClaim_RefusesWhatIsNotWrits(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := claim(dir); err == nil || !strings.Contains(err.Error(), "precious") {
		t.Errorf("claim: %v, want a refusal that names what is there", err)
	}
	if err := purge(dir); err == nil {
		t.Error("purge deleted a folder that is not writ's")
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestRunFolder_OthersThingsStay(t *testing.T) {
	dir := t.TempDir()
	if err := claimRun(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pods/uid", "netns", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := purgeRun(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "other" {
		t.Errorf("left are %v, %v; want only what is not the daemon's", entries, err)
	}
	if err := os.Remove(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if err := purgeRun(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the empty folder: %v, want none", err)
	}
}

func TestRunFolder_RefusesOneThatOthersWriteTo(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o1777); err != nil {
		t.Fatal(err)
	}
	if err := claimRun(dir); err == nil || !strings.Contains(err.Error(), "others may write to "+dir) {
		t.Errorf("claim: %v, want a refusal", err)
	}
}

func TestFolders_RefuseAnotherOwner(t *testing.T) {
	if os.Geteuid() == 0 {
		dir := t.TempDir()
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		for name, claim := range map[string]func(string) error{"data": claim, "run": claimRun} {
			if err := claim(dir); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
				t.Errorf("%s: %v, want a refusal", name, err)
			}
		}
		return
	}
	for name, claim := range map[string]func(string) error{"data": claim, "run": claimRun} {
		if err := claim("/usr"); err == nil || !strings.Contains(err.Error(), "/usr belongs to user 0") {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}
