package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"writ/state"
)

// image copies the folder of a store and its key as a kill would leave them.
func image(t *testing.T, dir string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "store")
	err := os.CopyFS(copied, os.DirFS(dir))
	for errors.Is(err, fs.ErrNotExist) { // Badger has just made a table of a memtable: begin again
		copied = filepath.Join(t.TempDir(), "store")
		err = os.CopyFS(copied, os.DirFS(dir))
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(dir + ".key")
	if err == nil {
		err = os.WriteFile(copied+".key", data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

// behind opens the records of a closed store, without their head.
func behind(t *testing.T, dir string) *records {
	t.Helper()
	_, k, err := readIdentity(Config{Dir: dir}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	r := &records{dir: dir, log: quiet{testLog(t)}, memtable: 8 << 20, probe: func(string) {}, fault: func(string) error { return nil }, key: k.records()}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	return r
}

// lose removes stored versions behind the back of the head.
func lose(t *testing.T, dir string, which func(state.Revision) bool) (lost int) {
	t.Helper()
	r := behind(t, dir)
	var keys [][]byte
	err := r.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixRecord}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if key := it.Item().KeyCopy(nil); which(revisionOf(key)) {
				keys = append(keys, key)
			}
		}
		return nil
	})
	if err := errors.Join(err, remove(r.db, keys), r.close()); err != nil {
		t.Fatal(err)
	}
	return len(keys)
}

// imageOf is the image of an open store, taken while nothing is written.
func imageOf(t *testing.T, s *Store) string {
	t.Helper()
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	return image(t, s.cfg.Dir)
}

func run(t *testing.T, s *Store, steps int) {
	t.Helper()
	for range steps {
		propose(t, s, batchOf(s.World(), stepOf(s.World())+1))
	}
}

func TestOpen_GoesBackToCheckpoint(t *testing.T) {
	for _, checkpoint := range []bool{true, false} {
		t.Run(fmt.Sprintf("checkpoint=%v", checkpoint), func(t *testing.T) {
			cfg := Config{Dir: t.TempDir()}
			s := open(t, cfg)
			defer closeStore(t, s)
			run(t, s, 25)
			if checkpoint {
				if err := s.checkpoint(); err != nil {
					t.Fatal(err)
				}
			}
			at := s.World().Revision()
			run(t, s, 25)
			if err := s.flush(); err != nil {
				t.Fatal(err)
			}
			want := digest(t, s.World())
			dir := imageOf(t, s)
			odd := false
			if n := lose(t, dir, func(r state.Revision) bool { odd = !odd; return r > at && odd }); n == 0 {
				t.Fatal("nothing was lost")
			}
			for range 2 { // the second time from what the first left
				again := open(t, Config{Dir: dir})
				if got := digest(t, again.World()); got != want {
					t.Errorf("World %s, want %s", got, want)
				}
				closeStore(t, again)
			}
		})
	}
}

func TestOpen_RefusesWhatTheLogDoesNotHave(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	run(t, s, 25)
	if err := s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	first := true
	lose(t, cfg.Dir, func(state.Revision) bool { was := first; first = false; return was })
	wantRefusal(t, cfg)
}

func wantRefusal(t *testing.T, cfg Config) {
	t.Helper()
	s, err := Open(cfg, testLog(t))
	if err == nil {
		closeStore(t, s)
		t.Fatalf("Open took a store that is not whole: %s", digest(t, s.World()))
	}
	if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "writ up --rebuild") || !strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("Open: %v; want ErrUnusable with the folder and what to do", err)
	}
}

func TestOpen_Damage(t *testing.T) {
	made := Config{Dir: t.TempDir()}
	s := open(t, made)
	run(t, s, 25)
	if err := s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	run(t, s, 12)
	closeStore(t, s)
	remove := func(pattern string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, f := range matching(t, dir, pattern) {
				if err := os.RemoveAll(f); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	garble := func(pattern string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, f := range matching(t, dir, pattern) {
				if err := os.WriteFile(f, bytes.Repeat([]byte("?"), 5000), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, damage := range map[string]func(*testing.T, string){
		"no identity":         remove(identityFile),
		"garbled identity":    garble(identityFile),
		"no log":              remove(logDir),
		"no contents of log":  remove(logDir + "/wal-meta.db"),
		"no segments":         remove(logDir + "/*.wal"),
		"garbled contents":    garble(logDir + "/wal-meta.db"),
		"garbled segments":    garble(logDir + "/*.wal"),
		"no checkpoints":      remove(checkpointDir),
		"no records":          remove(worldDir),
		"no manifest":         remove(worldDir + "/MANIFEST"),
		"no tables":           remove(worldDir + "/*.sst"),
		"garbled manifest":    garble(worldDir + "/MANIFEST"),
		"garbled tables":      garble(worldDir + "/*.sst"),
		"garbled checkpoints": garble(checkpointDir + "/*/*"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := image(t, made.Dir)
			damage(t, dir)
			wantRefusal(t, Config{Dir: dir})
			if _, err := Rebuild(Config{Dir: dir}); err != nil {
				t.Fatalf("Rebuild: %v", err)
			}
			s := open(t, Config{Dir: dir})
			defer closeStore(t, s)
			if s.World().Len() != 0 {
				t.Errorf("%d records after Rebuild, want none", s.World().Len())
			}
		})
	}
}

func matching(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing matches %s: %v", pattern, err)
	}
	return files
}

// Whatever byte of whatever file is wrong: the World is whole or refused.
func TestOpen_AnyByteWrong(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	run(t, s, 12)
	if err := s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	run(t, s, 12)
	closeStore(t, s)
	want := digest(t, s.World())
	random := rand.New(rand.NewPCG(1, 2))
	var files []string
	for _, pattern := range []string{"*/*.wal", "*/*.db", "*/*.sst", "*/MANIFEST", "*/KEYREGISTRY", "*/*.vlog", "*/*/*", "store.json"} {
		files = append(files, matching(t, cfg.Dir, pattern)...)
	}
	refused := 0
	for range 40 {
		dir := image(t, cfg.Dir)
		file, err := filepath.Rel(cfg.Dir, files[random.IntN(len(files))])
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		used := len(bytes.TrimRight(data, "\x00"))
		if used == 0 {
			continue
		}
		at := random.IntN(used)
		data[at] ^= byte(1 + random.IntN(255))
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: dir}, slog.New(slog.DiscardHandler))
		if err != nil {
			refused++
			if !errors.Is(err, ErrUnusable) {
				t.Errorf("byte %d of %s wrong: %v; want ErrUnusable", at, file, err)
			}
			continue
		}
		if got := digest(t, s.World()); got != want {
			t.Errorf("byte %d of %s wrong: World %s, want %s", at, file, got, want)
		}
		closeStore(t, s)
	}
	t.Logf("%d refused", refused)
}
