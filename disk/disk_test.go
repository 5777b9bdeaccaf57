package disk

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	for name, write := range map[string]func(string, []byte) error{"synced": Replace, "unsynced": ReplaceUnsynced} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			left := filepath.Join(dir, ".file.new")
			if err := os.WriteFile(left, []byte("half of one"), 0o644); err != nil { // a crash left it
				t.Fatal(err)
			}
			for _, text := range []string{"first, and long", "second"} {
				before, _ := os.Open(path)
				if err := write(path, []byte(text)); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(path); err != nil || string(got) != text {
					t.Errorf("read %q, %v, want %q", got, err, text)
				}
				if before != nil { // who has the old one open still reads it whole
					b := make([]byte, 100)
					if n, err := before.Read(b); err != nil || string(b[:n]) != "first, and long" {
						t.Errorf("the old file holds %q, %v", b[:n], err)
					}
					before.Close()
				}
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("%v, %v, want the file alone", entries, err)
			}
		})
	}
}

func TestReplace_FailsWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("x")); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v, want nothing left", entries, err)
	}
}
