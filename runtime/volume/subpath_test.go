package volume

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"writ/runtime/oci"
)

func TestSubPath(t *testing.T) {
	env := map[string]string{"A": "a", "UP": "../x", "ABS": "/etc", "NONE": ""}
	for _, tt := range []struct{ path, expr, want, err string }{
		{path: "a/b", want: "a/b"},
		{expr: "$(A)/b", want: "a/b"},
		{expr: "$$(A)/b", want: "$(A)/b"},
		{path: "$(A)", want: "$(A)"},
		{expr: "$(B)", err: `missing value for "$(B)"`},
		{expr: "x$(NONE)", err: `missing value for "x$(NONE)"`},
		{expr: "$(UP)", err: "unable to provision SubPath `../x`: must not contain '..'"},
		{expr: "$(ABS)", err: "error SubPath `/etc` must not be an absolute path"},
		{path: "a/..b", want: "a/..b"},
	} {
		got, err := subPath(&corev1.VolumeMount{SubPath: tt.path, SubPathExpr: tt.expr}, env)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err || !errors.Is(err, oci.ErrConfig) {
				t.Errorf("%s%s: error %v, want %s", tt.path, tt.expr, err, tt.err)
			}
			continue
		}
		if got != tt.want || err != nil {
			t.Errorf("%s%s: %q, %v, want %q", tt.path, tt.expr, got, err, tt.want)
		}
	}
}

// What is made below a volume has the volume's mode, whatever the node's umask.
func TestOpenBeneath_MakesWithTheVolumesMode(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o770|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	h, err := OpenBeneath(dir, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	info, err := os.Stat(filepath.Join(dir, "a/b"))
	if err != nil || info.Mode() != os.ModeDir|os.ModeSetgid|0o770 {
		t.Errorf("mode %v, %v, want that of the volume", info.Mode(), err)
	}
}

// The reason is not for users: it would tell a container what lies on the node.
func TestSubPathError(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/shadow", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for sub, want := range map[string]string{
		"link":     `failed to prepare subPath for volumeMount "v" of container "c"`,
		"file/dir": `failed to prepare subPath for volumeMount "v" of container "c"`,
	} {
		_, cause := OpenBeneath(dir, sub)
		if cause == nil {
			t.Fatalf("%s was opened", sub)
		}
		err := newSubPathError(&corev1.VolumeMount{Name: "v"}, "c", cause)
		if err.Error() != want || !errors.Is(err, oci.ErrConfig) {
			t.Errorf("%s: %q, want %q matching ErrConfig", sub, err, want)
		}
	}
}
