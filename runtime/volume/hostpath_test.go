package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestOpenHostPath_Creates: what is missing is made where the type says so, and
// nothing is ever made among the daemon's own files.
func TestOpenHostPath_Creates(t *testing.T) {
	base := t.TempDir()
	own := filepath.Join(base, "own")
	for _, dir := range []string{own, filepath.Join(base, "there")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(base, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		kind corev1.HostPathType
		err  string
		made bool
	}{
		{"there", corev1.HostPathUnset, "", true},
		{"unset/a", corev1.HostPathUnset, "", true},
		{"dir/a/b", corev1.HostPathDirectoryOrCreate, "", true},
		{"there/new", corev1.HostPathFileOrCreate, "", true},
		{"nowhere/new", corev1.HostPathFileOrCreate, "no such file", false},
		{"missing", corev1.HostPathDirectory, "hostPath type check failed", false},
		{"file", corev1.HostPathDirectoryOrCreate, "is not a directory", true},
		{"file/below", corev1.HostPathDirectoryOrCreate, "not a directory", false},
		{"own", corev1.HostPathUnset, "belongs to this node's daemon", true},
		{"own/pods/evil", corev1.HostPathDirectoryOrCreate, "belongs to this node's daemon", false},
		{"own/unset", corev1.HostPathUnset, "belongs to this node's daemon", false},
		{"own/file", corev1.HostPathFileOrCreate, "belongs to this node's daemon", false},
		{"there/../own/roundabout", corev1.HostPathUnset, "belongs to this node's daemon", false},
	} {
		path := base + "/" + tt.path
		h, _, err := OpenHostPath(&corev1.HostPathVolumeSource{Path: path, Type: &tt.kind}, []string{own})
		if err == nil {
			h.Close()
		}
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s %q: %v, want %q", tt.path, tt.kind, err, tt.err)
		}
		if _, err := os.Lstat(path); (err == nil) != tt.made {
			t.Errorf("%s %q: is there %v, want %v", tt.path, tt.kind, err == nil, tt.made)
		}
	}
	if entries, err := os.ReadDir(own); err != nil || len(entries) > 0 {
		t.Errorf("%d entries were made among the daemon's own, %v", len(entries), err)
	}
}

// TestOpenHostPath_CreatesBelowLinks: an alias of the daemon's directory is one.
func TestOpenHostPath_CreatesBelowLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only links of root are followed")
	}
	base := t.TempDir()
	own := filepath.Join(base, "own")
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(own, filepath.Join(base, "alias")); err != nil {
		t.Fatal(err)
	}
	kind := corev1.HostPathDirectoryOrCreate
	_, _, err := OpenHostPath(&corev1.HostPathVolumeSource{Path: base + "/alias/evil", Type: &kind}, []string{own})
	if err == nil || !strings.Contains(err.Error(), "belongs to this node's daemon") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(filepath.Join(own, "evil")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

// TestStage_HidesNothingFromTheNode: what hides the daemon's directories from a container would be
// mounted on the node too, where the container's mounts go there.
func TestStage_HidesNothingFromTheNode(t *testing.T) {
	base := t.TempDir()
	own := filepath.Join(base, "deep", "own")
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	both := corev1.MountPropagationBidirectional
	s := &Set{Own: []string{own}}
	for _, tt := range []struct{ path, sub string }{{base, ""}, {filepath.Dir(base), filepath.Base(base)}, {base, "deep"}} {
		w := &want{v: &backing{Volume: &corev1.Volume{VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: tt.path}}}},
			m: &corev1.VolumeMount{MountPropagation: &both}, sub: tt.sub, stage: filepath.Join(t.TempDir(), "0")}
		t.Cleanup(func() { _ = detach(w.stage) })
		if _, err := s.stage(w, ""); err == nil || !strings.Contains(err.Error(), "holds directories of this node's daemon") {
			t.Errorf("%s %q: %v, want that it is refused", tt.path, tt.sub, err)
		}
		if _, err := os.Lstat(w.stage); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s %q: it was bound: %v", tt.path, tt.sub, err)
		}
	}
}
