package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/images"
	"writ/fixtures/registry"
)

// archiveStore has an archive folder that is there.
func archiveStore(t *testing.T) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	s := openStore(t, dir)
	if err := os.Mkdir(s.archives, 0o700); err != nil {
		t.Fatal(err)
	}
	return s, s.archives
}

func load(t *testing.T, s *Store) {
	t.Helper()
	if again, err := s.LoadArchives(t.Context()); again || err != nil {
		t.Fatalf("load archives: again %v, %v", again, err)
	}
}

const appName = "writ.example/app:1.0"

func TestLoadArchives_Formats(t *testing.T) {
	img := small(t, []string{"A=1"}, map[string]string{"a": "1"}, map[string]string{"b": "2"})
	set := map[string]v1.Image{appName: img, "writ.example/app:1.1": img}
	for _, c := range []struct {
		name     string
		write    func(dir string) error
		byDigest bool
	}{
		{"docker save", func(d string) error { return images.WriteDockerArchive(filepath.Join(d, "x.tar"), set) }, false},
		{"layout in a tar", func(d string) error { return images.WriteLayoutTar(filepath.Join(d, "x.tar"), set) }, true},
		{"layout in a folder", func(d string) error {
			if err := images.WriteLayoutDir(filepath.Join(d, "part"), set); err != nil {
				return err
			}
			if err := os.Chmod(filepath.Join(d, "part"), 0o755); err != nil {
				return err
			}
			return os.Rename(filepath.Join(d, "part"), filepath.Join(d, "x.tar"))
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir := archiveStore(t)
			if err := c.write(dir); err != nil {
				t.Fatal(err)
			}
			load(t, s)
			id, err := img.ConfigName()
			if err != nil {
				t.Fatal(err)
			}
			for name := range set {
				got, ok := s.Resolve(name)
				if !ok || got.ID != id.String() || !got.FromArchive || got.Config.Env[0] != "A=1" || content(t, s, got, 1, "b") != "2" {
					t.Errorf("%s is %+v, %v; want the image, from an archive", name, got, ok)
				}
			}
			if _, ok := s.Resolve("writ.example/app@" + digest(t, img)); ok != c.byDigest {
				t.Errorf("by digest: found %v, want %v", ok, c.byDigest)
			}
			if _, ok := s.Resolve("writ.example/app@sha256:" + strings.Repeat("0", 64)); ok {
				t.Error("an archive answered for a digest that it does not have")
			}
			list, err := s.Archives()
			if err != nil || len(list) != 1 || list[0].File != "x.tar" || list[0].Err != nil || !slices.Contains(list[0].Refs, appName) {
				t.Errorf("archives are %+v, %v; want x.tar with its names", list, err)
			}
			noTraces(t, s)
		})
	}
}

func TestLoadArchives_KeptReplacedForgotten(t *testing.T) {
	s, dir := archiveStore(t)
	path := filepath.Join(dir, "x.tar")
	write := func(text string) {
		t.Helper()
		if err := images.WriteDockerArchive(path, map[string]v1.Image{appName: small(t, nil, map[string]string{"a": text})}); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	load(t, s)
	reopened, err := Open(Config{Dir: s.dir, Archives: dir}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	before, ok := reopened.Resolve(appName) // without a look at the folder
	if !ok || !before.FromArchive {
		t.Errorf("after reopening: %+v, %v; want the image", before, ok)
	}
	load(t, s)
	write("2")
	load(t, s)
	if img, _ := s.Resolve(appName); img.ID == before.ID || content(t, s, img, 0, "a") != "2" {
		t.Errorf("after replacing, image is %+v, want the new one", img)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	load(t, s)
	if img, ok := s.Resolve(appName); ok {
		t.Errorf("after removing, %+v is still found", img)
	}
}

func TestLoadArchives_BesideARegistry(t *testing.T) {
	reg := registry.Start(t)
	pulled := small(t, nil, map[string]string{"a": "registry"})
	ref := push(t, reg, pulled, "app:v")
	s, dir := archiveStore(t)
	if _, err := s.Pull(t.Context(), ref, Access{}); err != nil {
		t.Fatal(err)
	}
	if err := images.WriteDockerArchive(filepath.Join(dir, "x.tar"), map[string]v1.Image{ref: small(t, nil, map[string]string{"a": "archive"})}); err != nil {
		t.Fatal(err)
	}
	load(t, s)
	img, err := s.Ensure(t.Context(), ref, corev1.PullAlways, Access{Namespace: "any"})
	if err != nil || !img.FromArchive || content(t, s, img, 0, "a") != "archive" {
		t.Errorf("by tag: %+v, %v; want the archive's", img, err)
	}
	img, err = s.Ensure(t.Context(), reg.Host+"/app@"+digest(t, pulled), "", Access{Namespace: "any"})
	if err != nil || img.FromArchive || content(t, s, img, 0, "a") != "registry" {
		t.Errorf("by digest: %+v, %v; want the registry's", img, err)
	}
}

func TestLoadArchives_Refused(t *testing.T) {
	img := small(t, nil, map[string]string{"a": "1"})
	good := func(path string) error { return images.WriteDockerArchive(path, map[string]v1.Image{appName: img}) }
	edit := func(change func([]byte) []byte) func(string) error {
		return func(path string) error {
			if err := good(path); err != nil {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, change(data), 0o600)
		}
	}
	for _, c := range []struct {
		name, want string
		write      func(path string) error
	}{
		{"writable by others", "no writing by group or others", func(p string) error {
			if err := good(p); err != nil {
				return err
			}
			return os.Chmod(p, 0o666)
		}},
		{"a link", "too many levels of symbolic links", func(p string) error {
			out := filepath.Join(t.TempDir(), "x.tar")
			if err := good(out); err != nil {
				return err
			}
			return os.Symlink(out, p)
		}},
		{"no tar", "corrupt", func(p string) error { return os.WriteFile(p, []byte(strings.Repeat("no tar ", 1000)), 0o600) }},
		{"empty", "neither index.json nor manifest.json", func(p string) error { return os.WriteFile(p, nil, 0o600) }},
		{"cut short", "corrupt", edit(func(b []byte) []byte { return b[:len(b)/2] })},
		{"no name", "no image in it has a name", edit(func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"RepoTags":["`+appName+`"]`), []byte(`"RepoTags":[`+strings.Repeat(" ", len(appName)+2)+`]`), 1)
		})},
		{"other platform", "no image for this platform", func(p string) error {
			return images.WriteDockerArchive(p, map[string]v1.Image{appName: setPlatform(t, img, "linux", "s390x")})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir := archiveStore(t)
			if err := c.write(filepath.Join(dir, "x.tar")); err != nil {
				t.Fatal(err)
			}
			load(t, s)
			list, err := s.Archives()
			if err != nil || len(list) != 1 || list[0].Err == nil || !strings.Contains(list[0].Err.Error(), c.want) {
				t.Errorf("archives are %+v, %v; want a refusal with %q", list, err, c.want)
			}
			if got := s.list(); len(got) != 0 {
				t.Errorf("store holds %v, want nothing", got)
			}
			noTraces(t, s)
		})
	}
}

// A few members can be named often, and by long names: what is remembered of an archive is bounded.
func TestLoadArchives_MemoryIsBounded(t *testing.T) {
	config := fmt.Sprintf(`{"os":"linux","architecture":%q,"author":%q}`, runtime.GOARCH, strings.Repeat("x", 4<<20))
	sum := func(text string) string { return strings.TrimPrefix(digestOf([]byte(text)), "sha256:") }
	image := fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":"sha256:%s","size":%d},"layers":[]}`, sum(config), len(config))
	var save, layout []string
	for i := range 100 {
		save = append(save, fmt.Sprintf(`{"Config":"c","RepoTags":["app:%d"]}`, i))
		layout = append(layout, fmt.Sprintf(`{"digest":"sha256:%s","size":1,"annotations":{"org.opencontainers.image.ref.name":"writ.example/app:%d"}}`, sum(image), i))
	}
	for name, c := range map[string]struct {
		members []member
		want    string
	}{
		"docker save": {[]member{regular("manifest.json", "["+strings.Join(save, ",")+"]"), regular("c", config)}, "larger than 64 MiB together"},
		"layout": {[]member{regular("index.json", `{"manifests":[`+strings.Join(layout, ",")+"]}"),
			regular("blobs/sha256/"+sum(image), image), regular("blobs/sha256/"+sum(config), config)}, "larger than 64 MiB together"},
		"long names": {[]member{regular(strings.Repeat("x", mostMemberName+1), "")}, "longer than 1024 bytes"},
		"long links": {[]member{hardlink("a", strings.Repeat("x", mostMemberName+1))}, "longer than 1024 bytes"},
	} {
		s, _ := archiveStore(t)
		peak := heapWhile(t, func() {
			if _, err := s.Load(t.Context(), bytes.NewReader(pack(t, c.members...))); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q", name, err, c.want)
			}
		})
		if peak > 3*mostHeld {
			t.Errorf("%s: the heap grew by %d MiB", name, peak>>20)
		}
	}
}

// A docker save cannot show that its content has a digest, so it answers for none.
func TestLoadArchives_DockerSaveNamesADigest(t *testing.T) {
	tag := "writ.example/app:" + strings.Repeat("x", len("sha256:")+64)
	byDigest := "writ.example/app@sha256:" + strings.Repeat("0", 64)
	for _, set := range []map[string]v1.Image{
		{tag: small(t, nil, map[string]string{"a": "1"})},
		{tag: small(t, nil, map[string]string{"a": "1"}), appName: small(t, nil, map[string]string{"a": "2"})},
	} {
		s, _ := archiveStore(t)
		data := archiveOf(t, images.WriteDockerArchive, set)
		data = bytes.Replace(data, []byte(`"`+tag+`"`), []byte(`"`+byDigest+`"`), 1)
		names, err := s.Load(t.Context(), bytes.NewReader(data))
		if len(set) == 1 && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "no image in it has a name")) {
			t.Errorf("alone: got %v, want a refusal", err)
		}
		if len(set) == 2 && (err != nil || !slices.Equal(names, []string{appName})) {
			t.Errorf("beside another: %q, %v; want that one alone", names, err)
		}
		if img, ok := s.Resolve(byDigest); ok {
			t.Errorf("the digest is answered by %+v", img)
		}
	}
}

func TestLoadArchives_WrongBlobInLayout(t *testing.T) {
	s, dir := archiveStore(t)
	img := small(t, []string{"A=1"}, map[string]string{"a": "1"})
	path := filepath.Join(dir, "x.tar")
	if err := images.WriteLayoutDir(path, map[string]v1.Image{appName: img}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(path, "blobs/sha256", strings.TrimPrefix(configDigest(t, img), "sha256:"))
	data, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob, bytes.Replace(data, []byte("A=1"), []byte("A=2"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	load(t, s)
	if list, _ := s.Archives(); len(list) != 1 || !errors.Is(list[0].Err, ErrCorrupt) {
		t.Errorf("archives are %+v, want a corrupt one", list)
	}
}

func TestLoadArchives_FolderOfOthersIsRefused(t *testing.T) {
	s, dir := archiveStore(t)
	if err := images.WriteDockerArchive(filepath.Join(dir, "x.tar"), map[string]v1.Image{appName: small(t, nil, map[string]string{"a": "1"})}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LoadArchives(t.Context()); err == nil || !strings.Contains(err.Error(), "0770") {
		t.Errorf("folder writable by the group: got %v, want a refusal that names the mode", err)
	}
	if _, err := s.Archives(); err == nil {
		t.Error("status does not show that the folder is refused")
	}
	if got := s.list(); len(got) != 0 {
		t.Errorf("store holds %v, want nothing", got)
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, 4242, -1)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.LoadArchives(t.Context()); err == nil || !strings.Contains(err.Error(), "4242") {
			t.Errorf("folder of another user: got %v, want a refusal that names the user", err)
		}
	}
}

func TestLoadArchives_WaitsForTheWriter(t *testing.T) {
	s, dir := archiveStore(t)
	path := filepath.Join(dir, "x.tar")
	if err := images.WriteDockerArchive(path, map[string]v1.Image{appName: small(t, nil, map[string]string{"a": "1"})}); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.LoadArchives(t.Context())
	if _, ok := s.Resolve(appName); err != nil || !again || ok {
		t.Errorf("while it is open for writing: again %v, %v, found %v; want to look again", again, err, ok)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	load(t, s)
	if _, ok := s.Resolve(appName); !ok {
		t.Error("after the writer closed it the image is not found")
	}
}

func TestRun_TakesUpWhatIsPutInAndForgetsWhatIsGone(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir) // without the folder: Run makes it
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	found := func(name string) func() bool {
		return func() bool { _, ok := s.Resolve(name); return ok }
	}
	waitFor(t, func() bool { _, err := os.Stat(s.archives); return err == nil })
	moved, copied := filepath.Join(s.archives, "moved.tar"), filepath.Join(s.archives, "copied.tar")
	img := small(t, nil, map[string]string{"a": "1"})
	if err := images.WriteDockerArchive(moved, map[string]v1.Image{"writ.example/moved:1": img}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, found("writ.example/moved:1"))

	outside := filepath.Join(t.TempDir(), "x.tar")
	if err := images.WriteDockerArchive(outside, map[string]v1.Image{"writ.example/copied:1": img}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(outside)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(copied, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(data, 1000) {
		if _, err := f.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, found("writ.example/copied:1"))

	if err := os.Remove(moved); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return !found("writ.example/moved:1")() })
	if !found("writ.example/copied:1")() {
		t.Error("removing one archive took the other's names away")
	}

	// The folder itself may go and come back.
	if err := os.RemoveAll(s.archives); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := os.Stat(s.archives); return err == nil && !found("writ.example/copied:1")() })
	if err := images.WriteDockerArchive(moved, map[string]v1.Image{"writ.example/moved:2": img}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, found("writ.example/moved:2"))
}

// TestRun_LongCopy: one file that is written to for long does not keep another from being taken up.
func TestRun_LongCopy(t *testing.T) {
	s, dir := archiveStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	copied := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(filepath.Join(dir, "copied.tar"), os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			copied <- err
			return
		}
		defer f.Close()
		for ctx.Err() == nil && err == nil {
			_, err = f.WriteAt([]byte{0}, 0)
		}
		copied <- err
	}()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-copied, <-done); err != nil {
			t.Error(err)
		}
	}()
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(dir, "copied.tar")); return err == nil })
	if err := images.WriteDockerArchive(filepath.Join(dir, "other.tar"), map[string]v1.Image{"writ.example/other:1": small(t, nil, map[string]string{"a": "1"})}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, ok := s.Resolve("writ.example/other:1"); return ok })
}

func TestTarFile_LinksAndWhereMembersLie(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.tar")
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	long := strings.Repeat("d/", 120) + "f" // needs a second header before the content
	for _, h := range []tar.Header{
		{Name: "a/layer.tar", Typeflag: tar.TypeReg, Size: 5},
		{Name: "b/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../a/layer.tar"},
		{Name: long, Typeflag: tar.TypeReg, Size: 5},
	} {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := tw.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tf, err := openTar(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/layer.tar", "b/layer.tar", long} {
		if got, err := readMember(tf, name, defaultLimits()); err != nil || string(got) != "hello" {
			t.Errorf("%s: got %q, %v; want hello", name, got, err)
		}
	}
}
