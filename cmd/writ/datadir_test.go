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
