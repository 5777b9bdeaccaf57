//go:build kernel

package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"writ/fixtures/images"
	"writ/fixtures/kernel"
	"writ/fixtures/registry"
	"writ/runtime/volume"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// mountAt mounts below the store's folder and unmounts at the end.
func mountAt(t *testing.T, s *Store, img Image, readOnly bool) string {
	t.Helper()
	base := t.TempDir()
	kernel.CheckClean(t, base)
	target := filepath.Join(base, "rootfs")
	upper, work := filepath.Join(base, "upper"), filepath.Join(base, "work")
	if readOnly {
		upper, work = "", ""
	}
	t.Cleanup(func() {
		if err := volume.Unmount(target); err != nil {
			t.Error(err)
		}
	})
	if err := s.MountAs(img, upper, work, target, As{}); err != nil {
		t.Fatal(err)
	}
	return target
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

// rootMountPoints is what a container's root has beside its image.
const rootMountPoints = "dev etc proc sys"

func pullSmall(t *testing.T, s *Store, layers ...map[string]string) Image {
	t.Helper()
	reg := registry.Start(t)
	img, err := s.Pull(t.Context(), push(t, reg, small(t, nil, layers...), "app:v"), Access{})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestMount_WhiteoutsAndOpaqueFolders(t *testing.T) {
	kernel.Require(t)
	s := openStore(t, t.TempDir())
	img := pullSmall(t, s,
		map[string]string{"keep": "1", "gone": "1", "change": "1", "dir/": "", "dir/old": "1", "tree/": "", "tree/x": "1"},
		map[string]string{".wh.gone": "", "change": "2", "dir/": "", "dir/.wh..wh..opq": "", "dir/new": "2", ".wh.tree": ""},
	)
	target := mountAt(t, s, img, false)
	if got, want := names(t, target), "change dev dir etc keep proc sys"; got != want {
		t.Errorf("root holds %q, want %q", got, want)
	}
	if got := names(t, filepath.Join(target, "dir")); got != "new" {
		t.Errorf("opaque folder holds %q, want new alone", got)
	}
	if got := read(t, filepath.Join(target, "change")); got != "2" {
		t.Errorf("changed file holds %q, want 2", got)
	}
	st, err := os.Stat(target)
	if err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("mode of the root is %v, %v; want 0755", st.Mode(), err)
	}
	// Two containers of one image do not see what the other writes.
	other := mountAt(t, s, img, false)
	if err := os.WriteFile(filepath.Join(target, "keep"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(other, "keep")) + content(t, s, img, 0, "keep"); got != "11" {
		t.Errorf("the other container and the layer hold %q, want 11", got)
	}
}

func TestMount_ReadOnly(t *testing.T) {
	kernel.Require(t)
	s := openStore(t, t.TempDir())
	target := mountAt(t, s, pullSmall(t, s, map[string]string{"a": "1"}), true)
	if got := read(t, filepath.Join(target, "a")); got != "1" {
		t.Errorf("file holds %q, want 1", got)
	}
	if err := os.WriteFile(filepath.Join(target, "b"), nil, 0o600); err == nil {
		t.Error("a read-only root took a file")
	}
}

func TestMount_ManyLayersAndNone(t *testing.T) {
	kernel.Require(t)
	for _, count := range []int{0, 1, 30, 120, 499} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			s := openStore(t, t.TempDir())
			img := Image{Ref: "made here"}
			for i := range count {
				raw := pack(t, regular("last", fmt.Sprint(i)), regular(fmt.Sprintf("l%d", i), ""))
				root := filepath.Join(s.layersDir(), strings.TrimPrefix(digestOf(raw), "sha256:"))
				if err := os.Mkdir(root, 0o755); err != nil {
					t.Fatal(err)
				}
				if _, err := unpack(t.Context(), root, bytes.NewReader(raw), digestOf(raw), s.limits); err != nil {
					t.Fatal(err)
				}
				img.Layers = append(img.Layers, digestOf(raw))
			}
			for _, readOnly := range []bool{false, true} {
				target := mountAt(t, s, img, readOnly)
				want := count
				if !readOnly {
					want += len(strings.Fields(rootMountPoints))
				}
				if count > 0 {
					want++
					if got := read(t, filepath.Join(target, "last")); got != fmt.Sprint(count-1) {
						t.Errorf("last is %q, want %d", got, count-1)
					}
				}
				if got := len(strings.Fields(names(t, target))); got != want {
					t.Errorf("root holds %d names, want %d", got, want)
				}
			}
		})
	}
}

// Steps that change nothing give an image the same empty layer again and again, and others may do so, too.
func TestMount_LayersThatAreThereTwice(t *testing.T) {
	kernel.Require(t)
	s := openStore(t, t.TempDir())
	first := map[string]string{"a": "1", "d/": "", "d/in": "1", ".wh.gone": ""}
	img := pullSmall(t, s, map[string]string{"gone": "0"}, first, map[string]string{}, map[string]string{"a": "2", "b": "2", ".wh.d": "", "gone": "2"}, map[string]string{}, first)
	if len(img.Layers) != 6 {
		t.Fatalf("the image has %d layers, want 6", len(img.Layers))
	}
	for _, readOnly := range []bool{false, true} {
		target := mountAt(t, s, img, readOnly)
		if got := read(t, filepath.Join(target, "a")) + read(t, filepath.Join(target, "b")) + read(t, filepath.Join(target, "d/in")); got != "121" {
			t.Errorf("files hold %q, want 121", got)
		}
		if _, err := os.Lstat(filepath.Join(target, "gone")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what the last layer takes away is there: %v", err)
		}
	}
}

func TestMount_LongAndStrangePaths(t *testing.T) {
	kernel.Require(t)
	for name, dir := range map[string]string{
		"long":    strings.Repeat(strings.Repeat("d", 200)+"/", 2),
		"strange": "a,b:c d",
	} {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join(t.TempDir(), dir)
			if err := os.MkdirAll(base, 0o700); err != nil {
				t.Fatal(err)
			}
			s := openStore(t, base)
			var layers []map[string]string
			for i := range 10 {
				layers = append(layers, map[string]string{fmt.Sprintf("l%d", i): ""})
			}
			target := mountAt(t, s, pullSmall(t, s, layers...), false)
			if got := len(strings.Fields(names(t, target))); got != 14 {
				t.Errorf("root holds %d names, want 10 and 4 mount points", got)
			}
		})
	}
}

func TestReclaim_LeavesMountedLayers(t *testing.T) {
	kernel.Require(t)
	s := openStore(t, t.TempDir())
	target := mountAt(t, s, pullSmall(t, s, map[string]string{"a": "1"}, map[string]string{"b": "2"}), false)
	if _, err := s.Reclaim(Reclaim{Keep: only("")}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(target, "a")) + read(t, filepath.Join(target, "b")); got != "12" {
		t.Errorf("mounted files hold %q, want 12", got)
	}
	if err := volume.Unmount(target); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reclaim(Reclaim{Keep: only("")}); err != nil {
		t.Fatal(err)
	}
	if n := layersOnDisk(t, s); n != 0 {
		t.Errorf("%d layers left, want none", n)
	}
}

func TestUnpack_KeepsOwnersModesAndCapabilities(t *testing.T) {
	kernel.Require(t)
	raw := pack(t, member{Header: header("suid", 0o4755), data: "x"})
	root := t.TempDir()
	if _, err := unpack(t.Context(), root, bytes.NewReader(raw), digestOf(raw), defaultLimits()); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(root, "suid"))
	if err != nil {
		t.Fatal(err)
	}
	if uid, gid := owner(st); uid != 4242 || gid != 4343 || st.Mode()&fs.ModeSetuid == 0 || st.Mode().Perm() != 0o755 {
		t.Errorf("owner is %d:%d, mode %v; want 4242:4343 and setuid 0755", uid, gid, st.Mode())
	}
}

// TestMount_ProgramRuns takes a real program through archive, store and mount.
func TestMount_ProgramRuns(t *testing.T) {
	kernel.Require(t)
	s, dir := archiveStore(t)
	spec, err := images.Find("probe:1.0")
	if err != nil {
		t.Fatal(err)
	}
	var b images.Builder
	built, err := b.Image(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := images.WriteDockerArchive(filepath.Join(dir, "probe.tar"), map[string]v1.Image{spec.Name: built}); err != nil {
		t.Fatal(err)
	}
	load(t, s)
	img, ok := s.Resolve(spec.Name)
	if !ok || !slices.Equal(img.Config.Entrypoint, []string{"/probe"}) || img.Config.User != "65534:65534" {
		t.Fatalf("image is %+v, %v", img, ok)
	}
	target := mountAt(t, s, img, false)
	out, err := runIn(t, target, img.Config.Entrypoint[0], "-target", "gopher://x")
	if err == nil || !strings.Contains(out, "want http, tcp, udp or dns") {
		t.Errorf("the program said %q, %v; want its own complaint", out, err)
	}
	if _, err := os.Stat(filepath.Join(target, "tmp")); errors.Is(err, fs.ErrNotExist) {
		t.Error("the image has no /tmp")
	}
}
