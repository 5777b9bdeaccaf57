package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// holding answers the files below a folder that hold some text.
func holding(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

const password = "correct-horse-battery-staple"

// secrets are a Secret, one too large for Badger's tables, a status and an adoption that all quote password.
func secrets(w *state.World) state.Batch {
	secret := func(name, value string) state.Put {
		return state.Put{Ref: manifest.SecretRef("default", name), Origin: state.Authored, Object: &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string][]byte{"password": []byte(value)}}}
	}
	b := decide(w, secret("small", password), secret("large", strings.Repeat(password, 80_000)), secret(password, "named"),
		state.Put{Ref: manifest.NodeRef("n"), Origin: state.Derived, Object: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}},
			Status: &corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Message: password}}}})
	b.Adopt = &state.Adoption{Commit: "c1", Subject: password}
	return b
}

func TestStore_KeepsNothingInClear(t *testing.T) {
	cfg := Config{Dir: filepath.Join(t.TempDir(), "store"), delay: time.Hour}
	s := open(t, cfg)
	clear := func(when, dir string) {
		t.Helper()
		if files := holding(t, dir, password); len(files) > 0 {
			t.Errorf("%s: %v hold a secret value", when, files)
		}
		if files := holding(t, dir, s.World().Cluster().String()); len(files) != 1 {
			t.Errorf("%s: %v hold the cluster's identity; want the search to find it once", when, files)
		}
	}
	propose(t, s, secrets(s.World()))
	want := digest(t, s.World())
	clear("in the log", cfg.Dir)
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	clear("in memtables", cfg.Dir)
	killed := imageOf(t, s)
	if err := s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	clear("after a checkpoint", cfg.Dir)
	propose(t, s, decide(s.World(), configMap(1, password)))
	closeStore(t, s)
	clear("closed", cfg.Dir)

	s = open(t, Config{Dir: killed})
	if got := digest(t, s.World()); got != want {
		t.Errorf("World after a kill %s, want %s", got, want)
	}
	closeStore(t, s)
	clear("closed after a kill", killed)
}

// What a killed process leaves holds no values either.
func TestStore_KilledKeepsNothingInClear(t *testing.T) {
	const value = "xxxxxxxxxxxxxxxxxxxxxxxx" // as batchOf writes them
	for _, point := range []string{"chunk:40", "part:1", "after head:4", "checkpoint:1"} {
		dir := t.TempDir()
		if _, acknowledged := crash(t, dir, point, 0); acknowledged == 0 && point != "chunk:40" {
			t.Fatalf("killed at %s before anything was written", point)
		}
		for _, text := range []string{value, "cm-00"} {
			if files := holding(t, dir, text); len(files) > 0 {
				t.Errorf("killed at %s: %v hold %q", point, files, text)
			}
		}
	}
}

func TestOpen_Key(t *testing.T) {
	made := Config{Dir: filepath.Join(t.TempDir(), "store"), Key: filepath.Join(t.TempDir(), "elsewhere")}
	s := open(t, made)
	propose(t, s, decide(s.World(), configMap(1, "a")))
	want := digest(t, s.World())
	closeStore(t, s)
	info, err := os.Stat(made.Key)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("key file %v, %v; want mode 0600", info, err)
	}
	before, err := os.ReadFile(made.Key)
	if err != nil {
		t.Fatal(err)
	}
	otherText := []byte(keyMark + strings.Repeat("ab", keySize))
	write := func(data []byte, mode fs.FileMode) func() error {
		return func() error { return errors.Join(os.WriteFile(made.Key, data, mode), os.Chmod(made.Key, mode)) }
	}
	for name, c := range map[string]struct {
		damage  func() error
		text    string
		rebuilt bool // Rebuild helps
	}{
		"lost":           {func() error { return os.Remove(made.Key) }, "it is gone", true},
		"of another":     {write(otherText, 0o600), "it is not the key that the store was made with", true},
		"garbled":        {write(before[:20], 0o600), "its content is not a key", true},
		"too long":       {write(append(bytes.Clone(before), "ab"...), 0o600), "its content is not a key", true},
		"empty":          {write(nil, 0o600), "its content is not a key", true},
		"open to others": {write(before, 0o640), "others than its owner may use it (mode 0640)", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(os.RemoveAll(made.Key), os.WriteFile(made.Key, before, 0o600), c.damage()); err != nil {
				t.Fatal(err)
			}
			_, err := Open(made, testLog(t))
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), made.Key) ||
				errors.Is(err, ErrUnusable) != c.rebuilt || strings.Contains(err.Error(), "writ up --rebuild") != c.rebuilt {
				t.Errorf("Open: %v; want %q, the file and what to do", err, c.text)
			}
		})
	}
	if err := write(before, 0o600)(); err != nil {
		t.Fatal(err)
	}
	s = open(t, made) // nothing above has touched it
	if got := digest(t, s.World()); got != want {
		t.Errorf("World %s, want %s", got, want)
	}
	closeStore(t, s)
	for name, damage := range map[string]func() error{"lost": func() error { return os.Remove(made.Key) }, "garbled": write(before[:20], 0o600), "kept": write(before, 0o600)} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := Rebuild(made); err != nil {
			t.Fatalf("%s: Rebuild: %v", name, err)
		}
		s := open(t, made)
		if got := s.World().Len(); got != 0 {
			t.Errorf("%s: %d records after a rebuild", name, got)
		}
		closeStore(t, s)
		if after, err := os.ReadFile(made.Key); err != nil || bytes.Equal(after, before) != (name == "kept") {
			t.Errorf("%s: key file after a rebuild: the old one %v, %v", name, bytes.Equal(after, before), err)
		}
	}
}

func TestOpen_NotEncrypted(t *testing.T) {
	cfg := Config{Dir: filepath.Join(t.TempDir(), "store")}
	s := open(t, cfg)
	id := s.identity
	closeStore(t, s)
	id.Format, id.Key = 1, ""
	if err := id.write(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	_, err := Open(cfg, testLog(t))
	if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "format 1, which is not encrypted") || !strings.Contains(err.Error(), "writ up --rebuild") {
		t.Errorf("Open: %v", err)
	}
}

func TestSealer(t *testing.T) {
	k, err := makeKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	chunk := func(s *sealer) []byte {
		b := chunkHeader{kind: chunkDecision, last: true, revision: 7, sequence: 3}.put(nil)
		return s.seal(append(append(b, make([]byte, sealSize)...), password...))
	}
	one, two := newSealer(k), newSealer(k) // two starts of one store
	seen := map[string]bool{}
	for _, s := range []*sealer{one, one, two, two} {
		sealed := chunk(s)
		data, err := (&opener{key: k}).open(sealed)
		if err != nil || string(data) != password {
			t.Fatalf("opened %q, %v", data, err)
		}
		if body := string(sealed[headerSize : headerSize+sealSize]); seen[body] {
			t.Error("a salt and nonce were used twice")
		} else {
			seen[body] = true
		}
		for i := range sealed {
			wrong := bytes.Clone(sealed)
			wrong[i] ^= 1
			if data, err := (&opener{key: k}).open(wrong); err == nil {
				t.Errorf("byte %d changed: opened %q", i, data)
			}
		}
		if _, err := (&opener{key: k}).open(sealed[:headerSize+sealSize-1]); err == nil {
			t.Error("opened a part of a chunk")
		}
	}
	if s := newSealer(k); bytes.Equal(s.salt, one.salt) {
		t.Error("two starts have one salt")
	}
}
