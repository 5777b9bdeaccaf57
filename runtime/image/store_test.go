package image

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"writ/fixtures/images"
	"writ/fixtures/registry"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// openStore opens a store with an archive folder beside it.
func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: filepath.Join(dir, "store"), Archives: filepath.Join(dir, "archives")}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func small(t *testing.T, env []string, layers ...map[string]string) v1.Image {
	t.Helper()
	img, err := images.Small(env, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func push(t *testing.T, reg *registry.Registry, img v1.Image, name string) string {
	t.Helper()
	ref := reg.Host + "/" + name
	if err := images.Push(t.Context(), img, ref, reg.Auth()); err != nil {
		t.Fatal(err)
	}
	return ref
}

func digest(t *testing.T, img v1.Image) string {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// content reads one file of one layer.
func content(t *testing.T, s *Store, img Image, layer int, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.layerDir(img.Layers[layer]), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// noTraces fails when a pull left temporary files or pins behind.
func noTraces(t *testing.T, s *Store) {
	t.Helper()
	entries, err := os.ReadDir(s.tmpDir())
	if err != nil || len(entries) != 0 {
		t.Errorf("temporary files left: %v, %v", entries, err)
	}
	if len(s.pinned) != 0 {
		t.Errorf("pins left: %v", s.pinned)
	}
}

func TestPull_RoundTripAndReopen(t *testing.T) {
	reg := registry.Start(t)
	src := small(t, []string{"A=1"}, map[string]string{"etc/": "", "etc/one": "first"}, map[string]string{"two": "second"})
	ref := push(t, reg, src, "team/app:1.0")
	dir := t.TempDir()
	s := openStore(t, dir)
	if _, ok := s.Resolve(ref); ok {
		t.Error("image is there before it was pulled")
	}
	img, err := s.Pull(t.Context(), ref, Access{Namespace: "a"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := src.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if img.ID != id.String() || img.Digest != digest(t, src) || img.Ref != ref || img.FromArchive || len(img.Layers) != 2 || img.Config.Env[0] != "A=1" || img.Size == 0 {
		t.Errorf("image is %+v, want id %s, digest %s, two layers, A=1", img, id, digest(t, src))
	}
	if got, want := img.StatusID(), reg.Host+"/team/app@"+digest(t, src); got != want {
		t.Errorf("status id is %s, want %s", got, want)
	}
	if got := content(t, s, img, 0, "etc/one") + content(t, s, img, 1, "two"); got != "firstsecond" {
		t.Errorf("content is %q, want firstsecond", got)
	}
	noTraces(t, s)

	reg.Stop() // from here on the node is alone
	s = openStore(t, dir)
	for _, name := range []string{ref, reg.Host + "/team/app@" + digest(t, src), reg.Host + "/team/app:9@" + digest(t, src)} {
		if again, ok := s.Resolve(name); !ok || again.ID != img.ID {
			t.Errorf("after reopening, %s is %+v, %v; want the image", name, again, ok)
		}
	}
	checkModes(t, dir)
}

// checkModes: nobody but the owner may look into the store.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	for path, want := range map[string]os.FileMode{"store": 0o700, "store/layers": 0o700, "store/tmp": 0o700, "store/index.json": 0o600} {
		st, err := os.Stat(filepath.Join(dir, path))
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("mode of %s is %v, %v; want %v", path, st.Mode().Perm(), err, want)
		}
	}
}

// What containers see has its mode whatever the umask of the daemon is.
func TestPull_UnderAStrictUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	reg := registry.Start(t)
	s := openStore(t, t.TempDir())
	img, err := s.Pull(t.Context(), push(t, reg, small(t, nil, map[string]string{"a": "1"}), "app:v"), Access{})
	if err != nil {
		t.Fatal(err)
	}
	upper, target := filepath.Join(s.dir, "c", "upper"), filepath.Join(s.dir, "c", "rootfs")
	if err := makeMountDirs(upper, filepath.Join(s.dir, "c", "work"), target); err != nil {
		t.Fatal(err)
	}
	want := map[string]os.FileMode{s.layerDir(img.Layers[0]): 0o755, upper: 0o755, target: 0o755, s.skeletonDir(): 0o755,
		filepath.Join(s.skeletonDir(), "etc"): 0o755, filepath.Join(s.skeletonDir(), "etc/hosts"): 0o644,
		s.emptyDirs()[0]: 0o755, s.dir: 0o700, s.layersDir(): 0o700}
	for path, mode := range want {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want %v", path, st.Mode(), err, mode)
		}
	}
}

func TestPull_AgainAsksForTheDigestOnly(t *testing.T) {
	reg := registry.Start(t)
	ref := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "app:v")
	s := openStore(t, t.TempDir())
	if _, err := s.Pull(t.Context(), ref, Access{}); err != nil {
		t.Fatal(err)
	}
	reg.Forget()
	if _, err := s.Pull(t.Context(), ref, Access{}); err != nil {
		t.Fatal(err)
	}
	if reg.Count("GET /v2/app/") != 0 || reg.Count("HEAD /v2/app/manifests/v") != 1 {
		t.Errorf("requests are %q, want one HEAD and no GET of the image", reg.Requests())
	}
	next := small(t, nil, map[string]string{"a": "2"})
	push(t, reg, next, "app:v")
	img, err := s.Pull(t.Context(), ref, Access{})
	if err != nil || img.Digest != digest(t, next) || content(t, s, img, 0, "a") != "2" {
		t.Errorf("after the tag moved: %+v, %v; want %s", img, err, digest(t, next))
	}
}

func TestPull_SharedLayerIsFetchedOnce(t *testing.T) {
	reg := registry.Start(t)
	base := map[string]string{"base": strings.Repeat("x", 1000)}
	one := push(t, reg, small(t, nil, base, map[string]string{"a": "1"}), "one:v")
	two := push(t, reg, small(t, nil, base, map[string]string{"b": "2"}), "two:v")
	s := openStore(t, t.TempDir())
	if _, err := s.Pull(t.Context(), one, Access{}); err != nil {
		t.Fatal(err)
	}
	reg.Forget()
	if _, err := s.Pull(t.Context(), two, Access{}); err != nil {
		t.Fatal(err)
	}
	if got := reg.Count("GET /v2/two/blobs/"); got != 2 {
		t.Errorf("%d blobs were fetched, want configuration and one layer: %q", got, reg.Requests())
	}
}

func TestPull_SharedLayerIsFetchedOnceAtTheSameTime(t *testing.T) {
	reg := registry.Start(t)
	base := map[string]string{"base": strings.Repeat("x", 1000)}
	one, two := small(t, nil, base), small(t, nil, base, map[string]string{"b": "2"})
	shared := layerDigest(t, one, 0)
	refs := []string{push(t, reg, one, "one:v"), push(t, reg, two, "two:v")}
	s := openStore(t, t.TempDir())
	reg.Forget()
	reg.Hold(func(r *http.Request) bool { return strings.Contains(r.URL.Path, shared) })
	done := make(chan error, 2)
	for i, ref := range refs {
		go func() { _, err := s.Pull(t.Context(), ref, Access{}); done <- err }()
		if i == 0 {
			waitFor(t, func() bool { return reg.Count("GET /v2/one/blobs/"+shared) == 1 })
		}
	}
	waitFor(t, func() bool { return layersOnDisk(t, s) == 1 }) // the layer that is only the second's
	reg.Release()
	for range refs {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := reg.Count("GET /v2/two/blobs/" + shared); got != 0 {
		t.Errorf("the shared layer was fetched %d times more: %q", got, reg.Requests())
	}
}

func configDigest(t *testing.T, img v1.Image) string {
	t.Helper()
	h, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func layerDigest(t *testing.T, img v1.Image, n int) string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	h, err := layers[n].Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func TestPull_ManyCallersOnePull(t *testing.T) {
	reg := registry.Start(t)
	ref := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "app:v")
	s := openStore(t, t.TempDir())
	reg.Forget()
	reg.Hold(func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") })
	short, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := s.Pull(short, ref, Access{}); first <- err }()
	waitFor(t, func() bool { return reg.Count("GET /v2/app/blobs/") > 0 })
	rest := make(chan error, 20)
	for range 20 {
		go func() { _, err := s.Pull(t.Context(), ref, Access{}); rest <- err }()
	}
	waitFor(t, func() bool { return waiting(s) == 21 })
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that went away got %v, want context canceled", err)
	}
	reg.Release()
	for range 20 {
		if err := <-rest; err != nil {
			t.Errorf("a caller that stayed got %v", err)
		}
	}
	if got := reg.Count("GET /v2/app/manifests/"); got != 1 {
		t.Errorf("the manifest was fetched %d times, want once", got)
	}
}

func TestPull_StopsWhenNobodyWaits(t *testing.T) {
	reg := registry.Start(t)
	ref := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "app:v")
	s := openStore(t, t.TempDir())
	reg.Forget()
	reg.Hold(func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := s.Pull(ctx, ref, Access{}); done <- err }()
	waitFor(t, func() bool { return reg.Count("GET /v2/app/blobs/") > 0 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
	var ended atomic.Bool
	go func() { s.Close(); ended.Store(true) }()
	waitFor(t, ended.Load) // although the registry still holds its answer back
	noTraces(t, s)
	reg.Release()
	if _, err := s.Pull(t.Context(), ref, Access{}); err != nil {
		t.Errorf("the next pull got %v, want a fresh start", err)
	}
}

func waiting(s *Store) int {
	s.pulls.mu.Lock()
	defer s.pulls.mu.Unlock()
	n := 0
	for _, f := range s.pulls.fly {
		n += f.waiting
	}
	return n
}

// list is every reference and what it stands for, sorted by reference. Where an
// archive hides a pulled tag, the archive's image is listed.
func (s *Store) list() []Image {
	x := s.current.Load()
	names := map[string]bool{}
	for n := range x.Pulled {
		names[n] = true
	}
	for _, a := range x.Archives {
		for n := range a.Names {
			names[n] = true
		}
	}
	var out []Image
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if img, ok := s.Resolve(n); ok {
			out = append(out, img)
		}
	}
	return out
}

// One digest is fetched once, whatever it is called and whoever asks: by several tags, by digest, for several
// namespaces.
func TestPull_OneDigestByManyNames(t *testing.T) {
	reg := registry.Start(t)
	img := small(t, nil, map[string]string{"a": "1"}, map[string]string{"b": "2"})
	refs := []string{reg.Host + "/app@" + digest(t, img)}
	for _, tag := range []string{"a", "b", "c"} {
		refs = append(refs, push(t, reg, img, "app:"+tag))
	}
	s := openStore(t, t.TempDir())
	reg.Forget()
	blobs := func(r *http.Request) bool { return strings.Contains(r.URL.Path, layerDigest(t, img, 0)) }
	reg.Hold(blobs)
	var group errgroup.Group
	for i := range 24 {
		group.Go(func() error {
			_, err := s.Pull(t.Context(), refs[i%len(refs)], Access{Namespace: fmt.Sprint("ns", i%3)})
			return err
		})
	}
	waitFor(t, func() bool {
		return reg.Count("GET /v2/app/blobs/"+layerDigest(t, img, 0)) > 0 && layersOnDisk(t, s) == 1
	})
	reg.Release()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if n := reg.Count("GET /v2/app/blobs/" + layerDigest(t, img, i)); n != 1 {
			t.Errorf("layer %d was fetched %d times", i, n)
		}
	}
	if list := s.List(); len(list) != 1 || len(list[0].Refs) != 3 {
		t.Errorf("the store holds %+v, want one image by three tags", list)
	}
}
