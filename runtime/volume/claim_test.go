package volume

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/runtime/oci"
)

func claimOf(name string) *corev1.Volume {
	return &corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}
}

func persistent(name string, source corev1.PersistentVolumeSource) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: source}}
}

func claimSet(t *testing.T, from Source) *Set {
	from.Record = func() ([]byte, error) { return nil, nil }
	return &Set{Dir: filepath.Join(t.TempDir(), "volumes"), Calls: &Calls{}, Folders: &Folders{Dir: filepath.Join(t.TempDir(), "volumes"), Calls: &Calls{}},
		Claim: func(*corev1.Volume) (Source, error) { return from, nil }}
}

func TestFolders(t *testing.T) {
	o := &Folders{Dir: filepath.Join(t.TempDir(), "volumes"), Calls: &Calls{}}
	if found, err := o.Records(); len(found) > 0 || err != nil {
		t.Errorf("before the first: %v, %v", found, err)
	}
	for range 2 {
		if err := o.Make("pvc-1", []byte("one")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(o.Path("pvc-1"), "data"), []byte("kept"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]fs.FileMode{o.Dir: 0o700, filepath.Dir(o.Path("pvc-1")): 0o700, o.Path("pvc-1"): 0o777, o.record("pvc-1"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %o", path, info.Mode(), err, mode)
		}
	}
	if err := o.Make("pvc-1", []byte("two")); err != nil {
		t.Fatal(err)
	}
	if found, err := o.Records(); len(found) != 1 || string(found["pvc-1"]) != "two" || err != nil {
		t.Errorf("kept beside it: %q, %v; want what came last", found, err)
	}
	for range 2 {
		if err := o.Remove(t.Context(), "pvc-1"); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(o.Dir); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".removed-x"} {
		if o.Make(name, nil) == nil || o.Remove(t.Context(), name) == nil {
			t.Errorf("%q was taken as a name", name)
		}
	}
}

// What was set aside to be removed is no volume any more, and goes with the next start.
func TestFolders_CutOffWhileRemoving(t *testing.T) {
	o := &Folders{Dir: t.TempDir(), Calls: &Calls{}}
	if err := o.Make("pvc-1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(o.Dir, "pvc-1"), filepath.Join(o.Dir, removedPrefix+"pvc-1")); err != nil {
		t.Fatal(err)
	}
	if found, err := o.Records(); len(found) != 0 || err != nil {
		t.Errorf("%v, %v: it is known", found, err)
	}
	if err := o.Sweep(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(o.Dir); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Links in a volume lead nowhere when it is removed.
func TestFolders_RemoveFollowsNoLink(t *testing.T) {
	o := &Folders{Dir: t.TempDir(), Calls: &Calls{}}
	outside := t.TempDir()
	if err := errors.Join(o.Make("pvc-1", nil), os.WriteFile(filepath.Join(outside, "f"), nil, 0o600), os.Symlink(outside, filepath.Join(o.Path("pvc-1"), "link")), o.Remove(t.Context(), "pvc-1")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(outside, "f")); err != nil {
		t.Error(err)
	}
}

func TestPrepare_Claims(t *testing.T) {
	there, block := t.TempDir(), corev1.PersistentVolumeBlock
	device := persistent("pv", corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: there}})
	device.Spec.VolumeMode = &block
	for _, tt := range []struct {
		name, want string
		from       Source
	}{
		{"a folder", "", Source{Volume: persistent("pvc-1", corev1.PersistentVolumeSource{}), Folder: true}},
		{"local", "", Source{Volume: persistent("pv", corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: there}})}},
		{"not there", "is not a directory", Source{Volume: persistent("pv", corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: there + "/no"}})}},
		{"hostPath", "", Source{Volume: persistent("pv", corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: there}})}},
		{"a block device", "PersistentVolume pv is a block device", Source{Volume: device}},
		{"of a driver", "PersistentVolume pv is of a type that this node does not provide", Source{Volume: persistent("pv", corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d"}})}},
	} {
		s := claimSet(t, tt.from)
		err := s.Prepare(t.Context(), &oci.Facts{Pod: &corev1.Pod{}}, claimOf("data"))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	s := claimSet(t, Source{})
	s.Claim = func(*corev1.Volume) (Source, error) { return Source{}, errors.New("PVC is not bound") }
	if err := s.Prepare(t.Context(), &oci.Facts{Pod: &corev1.Pod{}}, claimOf("data")); err == nil || err.Error() != "PVC is not bound" {
		t.Errorf("without a volume: %v", err)
	}
}

func TestBinds_Claims(t *testing.T) {
	s := claimSet(t, Source{Volume: persistent("pvc-1", corev1.PersistentVolumeSource{}), Folder: true})
	v := claimOf("data")
	pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{*v}}}
	c := &corev1.Container{VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/data"}}}
	f := &oci.Facts{Pod: pod}
	if err := s.Prepare(t.Context(), f, v); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{false, true} {
		pod.Spec.Volumes[0].PersistentVolumeClaim.ReadOnly = readOnly
		binds, _, err := s.Binds(t.Context(), f, c, nil, filepath.Join(t.TempDir(), "stage"))
		if err != nil || len(binds) != 1 || binds[0].Source != s.Folders.Path("pvc-1") || binds[0].ReadOnly != readOnly {
			t.Errorf("read-only %v: %+v, %v", readOnly, binds, err)
		}
	}
	if err := s.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Folders.Path("pvc-1")); err != nil {
		t.Errorf("the files went with the Pod: %v", err)
	}
}

// The group of a Pod gets what is in the volume, once for each Pod; with OnRootMismatch only where the root says otherwise.
func TestPrepare_ClaimForAGroup(t *testing.T) {
	group := int64(os.Getgid())
	lazy := corev1.FSGroupChangeOnRootMismatch
	s := claimSet(t, Source{Volume: persistent("pvc-1", corev1.PersistentVolumeSource{}), Folder: true})
	pod := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{FSGroup: &group}}}
	if err := s.Folders.Make("pvc-1", nil); err != nil {
		t.Fatal(err)
	}
	root := s.Folders.Path("pvc-1")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.Mkdir(filepath.Join(root, "dir"), 0o700), os.WriteFile(filepath.Join(root, "dir", "file"), nil, 0o600), os.WriteFile(outside, nil, 0o600),
		os.Symlink(outside, filepath.Join(root, "link"))); err != nil {
		t.Fatal(err)
	}
	modes := func(dir, file fs.FileMode) {
		t.Helper()
		for name, want := range map[string]fs.FileMode{root: 0o777 | fs.ModeSetgid, root + "/dir": dir, root + "/dir/file": file, outside: 0o600} {
			if info, err := os.Lstat(name); err != nil || info.Mode()&^fs.ModeDir != want {
				t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
			}
		}
	}
	prepare := func() {
		t.Helper()
		if err := s.Prepare(context.Background(), &oci.Facts{Pod: pod}, claimOf("data")); err != nil {
			t.Fatal(err)
		}
	}
	prepare()
	modes(0o770|fs.ModeSetgid, 0o660)
	if err := os.Chmod(root+"/dir/file", 0o600); err != nil {
		t.Fatal(err)
	}
	prepare()
	modes(0o770|fs.ModeSetgid, 0o600) // the same Pod: a daemon that came later
	s.Dir = filepath.Join(t.TempDir(), "volumes")
	pod.Spec.SecurityContext.FSGroupChangePolicy = &lazy
	prepare()
	modes(0o770|fs.ModeSetgid, 0o600) // the root is the group's
	s.Dir = filepath.Join(t.TempDir(), "volumes")
	pod.Spec.SecurityContext.FSGroupChangePolicy = nil
	prepare()
	modes(0o770|fs.ModeSetgid, 0o660)
}
