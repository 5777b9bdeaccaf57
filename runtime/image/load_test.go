package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"

	"writ/fixtures/images"
)

// archiveOf is an archive in memory, by the way it is written.
func archiveOf(t *testing.T, write func(string, map[string]v1.Image) error, set map[string]v1.Image) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.tar")
	if err := write(path, set); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestLoad_FormsAndReplacement(t *testing.T) {
	for name, write := range map[string]func(string, map[string]v1.Image) error{"docker": images.WriteDockerArchive, "oci": images.WriteLayoutTar} {
		t.Run(name, func(t *testing.T) {
			s, dir := archiveStore(t)
			one := archiveOf(t, write, map[string]v1.Image{appName: small(t, nil, map[string]string{"a": "1"})})
			names, err := s.Load(t.Context(), bytes.NewReader(one))
			if err != nil || !slices.Equal(names, []string{appName}) {
				t.Fatalf("load: %q, %v; want %s", names, err, appName)
			}
			img, ok := s.Resolve(appName)
			if !ok || !img.FromArchive || content(t, s, img, 0, "a") != "1" {
				t.Fatalf("after load: %+v, %v", img, ok)
			}
			var zipped bytes.Buffer
			z := gzip.NewWriter(&zipped)
			z.Write(archiveOf(t, write, map[string]v1.Image{appName: small(t, nil, map[string]string{"a": "2"})}))
			z.Close()
			if _, err := s.Load(t.Context(), &zipped); err != nil {
				t.Fatal(err)
			}
			if img, _ = s.Resolve(appName); content(t, s, img, 0, "a") != "2" {
				t.Error("the second load did not take the first one's place")
			}
			if got := filesIn(t, dir); len(got) != 1 || !strings.HasPrefix(got[0], "loaded-") {
				t.Errorf("folder holds %q, want one loaded file", got)
			}
			// The folder is looked at again, and after a restart: nothing changes.
			load(t, s)
			if again, _ := s.Resolve(appName); again.ID != img.ID {
				t.Errorf("after a look: %s, want %s", again.ID, img.ID)
			}
			// Never lost: neither when room is made nor with the index.
			if out, err := s.Reclaim(Reclaim{Keep: only("")}); err != nil || len(out.Images) != 1 {
				t.Errorf("reclaim: %+v, %v; want the replaced image alone", out.Images, err)
			}
			if _, ok := s.Resolve(appName); !ok {
				t.Error("the loaded image is gone")
			}
		})
	}
}

func TestLoad_GoesBeforeAFileThatWasPutDown(t *testing.T) {
	s, dir := archiveStore(t)
	if err := images.WriteDockerArchive(filepath.Join(dir, "a.tar"), map[string]v1.Image{appName: small(t, nil, map[string]string{"a": "down"})}); err != nil {
		t.Fatal(err)
	}
	load(t, s)
	set := map[string]v1.Image{appName: small(t, nil, map[string]string{"a": "loaded"}), "writ.example/other:1": small(t, nil, map[string]string{"b": "x"})}
	if _, err := s.Load(t.Context(), bytes.NewReader(archiveOf(t, images.WriteDockerArchive, set))); err != nil {
		t.Fatal(err)
	}
	load(t, s)
	if img, _ := s.Resolve(appName); content(t, s, img, 0, "a") != "loaded" {
		t.Error("the file that was put down goes before what was loaded")
	}
}

func TestLoad_IsAtomic(t *testing.T) {
	good := archiveOf(t, images.WriteDockerArchive, map[string]v1.Image{appName: small(t, nil, map[string]string{"a": "1"})})
	other := archiveOf(t, images.WriteLayoutTar, map[string]v1.Image{appName: small(t, nil, map[string]string{"a": "2"}), "writ.example/b:1": small(t, nil, map[string]string{"b": "2"})})
	broken := bytes.Clone(other)
	at := bytes.Index(broken, []byte("blobs/sha256/"))
	for i := at + 512; i < len(broken); i += 512 { // spoil what looks like gzip: a layer
		if bytes.HasPrefix(broken[i:], []byte{0x1f, 0x8b}) {
			broken[i+30] ^= 0xff
		}
	}
	for _, c := range []struct {
		name string
		in   io.Reader
		want error
	}{
		{"nothing", strings.NewReader(""), ErrCorrupt},
		{"no archive", strings.NewReader(strings.Repeat("text ", 1000)), ErrCorrupt},
		{"cut short", bytes.NewReader(other[:len(other)/2]), ErrCorrupt},
		{"a layer with another digest", bytes.NewReader(broken), ErrCorrupt},
		{"too large", io.LimitReader(zeros{}, 3<<20), ErrCorrupt},
		{"the sender goes away", io.MultiReader(bytes.NewReader(other[:1000]), failing{}), io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir := archiveStore(t)
			s.limits.image.bytes = 2 << 20
			if _, err := s.Load(t.Context(), bytes.NewReader(good)); err != nil {
				t.Fatal(err)
			}
			before, layers := filesIn(t, dir), layersOnDisk(t, s)
			_, err := s.Load(t.Context(), c.in)
			if err == nil || !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if got := filesIn(t, dir); !slices.Equal(got, before) {
				t.Errorf("folder holds %q, want %q", got, before)
			}
			if img, ok := s.Resolve(appName); !ok || content(t, s, img, 0, "a") != "1" {
				t.Error("what was there before is gone")
			}
			if _, ok := s.Resolve("writ.example/b:1"); ok {
				t.Error("half of an archive was taken")
			}
			if n := layersOnDisk(t, s); n > layers+1 || c.name != "a layer with another digest" && n != layers {
				t.Errorf("%d layers on disk, %d before", n, layers)
			}
			noTraces(t, s)
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestLoad_EndsWithItsContextAndLeavesNothing(t *testing.T) {
	s, dir := archiveStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	in := io.MultiReader(bytes.NewReader(make([]byte, 100_000)), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }), zeros{})
	if _, err := s.Load(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if got := filesIn(t, dir); len(got) != 0 {
		t.Errorf("folder holds %q", got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestOpen_RemovesWhatACrashLeftOfALoad(t *testing.T) {
	s, dir := archiveStore(t)
	if err := os.WriteFile(filepath.Join(dir, loadPrefix+"123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	openWith(t, Config{Dir: s.dir, Archives: dir})
	if got := filesIn(t, dir); len(got) != 0 {
		t.Errorf("folder holds %q", got)
	}
}
