package image

import (
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"writ/fixtures/images"
	"writ/fixtures/registry"
)

func layersOnDisk(t *testing.T, s *Store) int {
	t.Helper()
	entries, err := os.ReadDir(s.layersDir())
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// only is a use of one image.
func only(id string) func(*Listed) string {
	return func(l *Listed) string {
		if l.ID == id {
			return "in use"
		}
		return ""
	}
}

func TestReclaim_KeepsWhatIsUsed(t *testing.T) {
	reg := registry.Start(t)
	base := map[string]string{"base": "b"}
	s, dir := archiveStore(t)
	one, err := s.Pull(t.Context(), push(t, reg, small(t, nil, base, map[string]string{"a": "1"}), "one:v"), Access{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.Pull(t.Context(), push(t, reg, small(t, nil, base, map[string]string{"a": "2"}), "two:v"), Access{})
	if err != nil {
		t.Fatal(err)
	}
	if err := images.WriteDockerArchive(filepath.Join(dir, "x.tar"), map[string]v1.Image{appName: small(t, nil, map[string]string{"c": "3"})}); err != nil {
		t.Fatal(err)
	}
	load(t, s)
	if n := layersOnDisk(t, s); n != 4 {
		t.Fatalf("%d layers on disk, want 4", n)
	}
	unpin := s.pin(two.Layers) // as a running pull does
	removed, err := s.Reclaim(Reclaim{Keep: only(one.ID)})
	if err != nil || len(removed.Images) != 1 || removed.Images[0].ID != two.ID || removed.Bytes != 0 {
		t.Errorf("removed %+v, %v; want %s, and no byte while a pull counts on its layers", removed, err, two.ID)
	}
	if n := layersOnDisk(t, s); n != 4 {
		t.Errorf("%d layers on disk while a pull counts on them, want 4", n)
	}
	unpin()
	if removed, err = s.Reclaim(Reclaim{Keep: only(one.ID)}); err != nil || removed.Bytes != 1 {
		t.Errorf("removed %+v, %v; want the one byte of the layer that was counted on", removed, err)
	}
	if n := layersOnDisk(t, s); n != 3 {
		t.Errorf("%d layers on disk, want 3: base, one's and the archive's", n)
	}
	if _, ok := s.Resolve(two.Ref); ok {
		t.Error("the removed image is still found")
	}
	if got := content(t, s, one, 0, "base"); got != "b" {
		t.Errorf("shared layer holds %q, want b", got)
	}
	if len(s.current.Load().Proofs) != 1 {
		t.Errorf("proofs are %v, want those of the one image left", s.current.Load().Proofs)
	}
	if _, ok := s.Resolve(appName); !ok {
		t.Error("the archive's image is gone")
	}
	noTraces(t, s)
}

func TestOpen_AfterACrash(t *testing.T) {
	reg := registry.Start(t)
	ref := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "app:v")
	dir := t.TempDir()
	s := openStore(t, dir)
	img, err := s.Pull(t.Context(), ref, Access{})
	if err != nil {
		t.Fatal(err)
	}
	// A half unpacked layer, and a half written index.
	if err := os.MkdirAll(filepath.Join(s.tmpDir(), "layer-1", "root"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.indexPath()), "."+filepath.Base(s.indexPath())+".new"), []byte(`{"form`), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	noTraces(t, s)
	if _, ok := s.Resolve(ref); !ok {
		t.Error("the image is gone")
	}
	// A layer that somebody removed: better pulled again than mounted with a hole.
	if err := os.RemoveAll(s.layerDir(img.Layers[0])); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	if _, ok := s.Resolve(ref); ok {
		t.Error("an image without its layer is found")
	}
	if _, err := s.Pull(t.Context(), ref, Access{}); err != nil || content(t, s, img, 0, "a") != "1" {
		t.Errorf("pull again: %v", err)
	}
}

func TestOpen_RefusesWhatItCannotRead(t *testing.T) {
	for _, text := range []string{`{"format":2}`, `{`, `{"format":"x"}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Config{Dir: dir}, quiet()); err == nil {
			t.Errorf("index %s was taken", text)
		}
	}
}
