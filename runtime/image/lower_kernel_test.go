//go:build kernel

package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"writ/fixtures/kernel"
)

// mountLine is what the table of mounts says of a target.
func mountLine(t *testing.T, target string) string {
	t.Helper()
	for line := range strings.Lines(read(t, "/proc/self/mountinfo")) {
		if strings.Contains(line, " "+target+" ") {
			return line
		}
	}
	t.Fatalf("%s is not mounted", target)
	return ""
}

func TestMount_MountPointsAreThereAndNothingIsWritten(t *testing.T) {
	kernel.Require(t)
	s := openStore(t, t.TempDir())
	target := mountAt(t, s, pullSmall(t, s, map[string]string{"a": "1"}), false)
	for _, name := range mountPoints {
		st, err := os.Lstat(filepath.Join(target, name))
		if err != nil || st.IsDir() != strings.HasSuffix(name, "/") {
			t.Errorf("mount point %s: %v, %v", name, st, err)
		}
	}
	if got := names(t, filepath.Join(filepath.Dir(target), "upper")); got != "" {
		t.Errorf("the upper folder holds %q before anything was written", got)
	}
}

func TestMount_ImageCoversTheMountPoints(t *testing.T) {
	kernel.Require(t)
	s := openStore(t, t.TempDir())
	img := pullSmall(t, s,
		map[string]string{"etc/": "", "etc/hosts": "its own", "etc/passwd": "x", "etc/hostname": "gone soon", "sys": "a file"},
		map[string]string{"etc/": "", "etc/.wh.hostname": ""})
	target := mountAt(t, s, img, false)
	if got := names(t, filepath.Join(target, "etc")); got != "hosts passwd resolv.conf" {
		t.Errorf("etc holds %q, want hosts passwd resolv.conf", got)
	}
	if got := read(t, filepath.Join(target, "etc/hosts")) + read(t, filepath.Join(target, "sys")); got != "its owna file" {
		t.Errorf("files hold %q, want the image's", got)
	}
}

func TestMount_ReadOnlyHasTheImageAlone(t *testing.T) {
	kernel.Require(t)
	s := openStore(t, t.TempDir())
	if got := names(t, mountAt(t, s, pullSmall(t, s, map[string]string{"a": "1"}), true)); got != "a" {
		t.Errorf("root holds %q, want a", got)
	}
}

func TestMount_ShortNamesInTheTableOfMounts(t *testing.T) {
	kernel.Require(t)
	s := openStore(t, t.TempDir())
	img := pullSmall(t, s, map[string]string{"a": "1"}, map[string]string{"b": "2"})
	line := mountLine(t, mountAt(t, s, img, false))
	for _, l := range img.Layers {
		if hex := strings.TrimPrefix(l, "sha256:"); !strings.Contains(line, "/l/"+hex[:shortName]) || strings.Contains(line, hex) {
			t.Errorf("layer %s goes by another name than its short one: %s", hex, line)
		}
	}
}

// A short name that belongs to another layer is left to it.
func TestMount_DigestsThatBeginAlike(t *testing.T) {
	kernel.Require(t)
	s := openStore(t, t.TempDir())
	img := pullSmall(t, s, map[string]string{"a": "1"})
	hex := strings.TrimPrefix(img.Layers[0], "sha256:")
	other := hex[:shortName] + strings.Repeat("0", len(hex)-shortName)
	if err := os.Mkdir(filepath.Join(s.layersDir(), other), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, want := filepath.Base(s.shortcut("sha256:"+other)), hex[:shortName]; got != want {
		t.Fatalf("shortcut of the first is %s, want %s", got, want)
	}
	target := mountAt(t, s, img, false)
	if got := read(t, filepath.Join(target, "a")); got != "1" {
		t.Errorf("file holds %q, want 1", got)
	}
	// What is not mounted goes, with its short name; the other's layer stays.
	if err := s.dropShortcut(hex); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Readlink(filepath.Join(s.shortcutsDir(), hex[:shortName])); err != nil {
		t.Errorf("the other layer's shortcut went with it: %v", err)
	}
	if err := s.dropShortcut(other); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s.shortcutsDir()); got != "" {
		t.Errorf("shortcuts left: %q", got)
	}
}

// A container's files are not written through, and a kernel without that still mounts.
func TestMount_Volatile(t *testing.T) {
	kernel.Require(t)
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, t.TempDir())
	img := pullSmall(t, s, map[string]string{"a": "1"})
	line := mountLine(t, mountAt(t, s, img, false))
	if !strings.Contains(line, "volatile") && !s.durable.Load() {
		t.Errorf("mount is durable on Linux %s: %s", unix.ByteSliceToString(u.Release[:]), line)
	}
	if line := mountLine(t, mountAt(t, s, img, true)); strings.Contains(line, "volatile") {
		t.Errorf("a read-only mount is volatile: %s", line)
	}
	s.durable.Store(true)
	if line := mountLine(t, mountAt(t, s, img, false)); strings.Contains(line, "volatile") {
		t.Errorf("mount is volatile: %s", line)
	}
}
