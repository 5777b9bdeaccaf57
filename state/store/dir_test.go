package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"writ/state"
)

func TestOpen_Twice(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	defer closeStore(t, s)
	for what, try := range map[string]func() error{
		"Open":    func() error { _, err := Open(cfg, testLog(t)); return err },
		"Rebuild": func() error { _, err := Rebuild(cfg); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("is in use by process %d", os.Getpid())) {
			t.Errorf("%s of an open store: %v; want the process that has it", what, err)
		}
	}
	propose(t, s, decide(s.World(), configMap(1, "still there")))
}

func TestOpen_LaterFormat(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	id := s.identity
	closeStore(t, s)
	id.Format = format + 1
	if err := id.write(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	_, err := Open(cfg, testLog(t))
	if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "has format 3, this version of writ knows formats up to 2") {
		t.Errorf("Open: %v", err)
	}
}

func TestRebuild_KeepsCluster(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	want := s.World().Cluster()
	propose(t, s, decide(s.World(), configMap(1, "a")))
	closeStore(t, s)
	id, err := Rebuild(cfg)
	if err != nil || id != want {
		t.Fatalf("Rebuild: %s, %v; want %s", id, err, want)
	}
	cfg.Cluster = id
	s = open(t, cfg)
	defer closeStore(t, s)
	if s.World().Cluster() != want || s.World().Len() != 0 {
		t.Errorf("cluster %s with %d records, want %s with none", s.World().Cluster(), s.World().Len(), want)
	}
}

func TestOpen_UnfinishedBirth(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	id := s.identity
	closeStore(t, s)
	id.Made = false // as if killed before the first Open had returned
	if err := id.write(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(cfg.Dir, logDir)); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	defer closeStore(t, s)
	if got := s.World(); got.Revision() != state.FirstOf(1) || got.Cluster() != id.Cluster {
		t.Errorf("World at %s of cluster %s", got.Revision(), got.Cluster())
	}
}

func TestStore_IsClosedToOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, Config{Dir: dir})
	propose(t, s, decide(s.World(), configMap(1, "a")))
	closeStore(t, s)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder %v, %v; want mode 0700", info.Mode(), err)
	}
	for _, name := range []string{lockFile, identityFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, info, err)
		}
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if info, _ := d.Info(); err == nil && d.IsDir() && path != dir && filepath.Dir(path) == dir && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A checkpoint has no records to give to another member, so a log that has one is refused.
func TestOpen_RefusesOtherMembers(t *testing.T) {
	for _, checkpoint := range []bool{false, true} {
		cfg := Config{Dir: t.TempDir()}
		s := open(t, cfg)
		run(t, s, 2)
		if err := s.journal.raft.AddNonvoter("other", "elsewhere", 0, time.Second).Error(); err != nil {
			t.Fatal(err)
		}
		run(t, s, 2)
		if checkpoint {
			if err := s.checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		closeStore(t, s)
		_, err := Open(cfg, testLog(t))
		if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "other members") {
			t.Errorf("Open: %v; want what is wrong", err)
		}
	}
}
