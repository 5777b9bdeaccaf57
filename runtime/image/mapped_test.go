package image

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestOverlay_Label: a label has commas, so it stands in quotes; the kernel takes them off (selinux's mount options).
func TestOverlay_Label(t *testing.T) {
	o := overlay{lower: []string{"/a", "/b"}, upper: "/u", work: "/w", label: "system_u:object_r:container_file_t:s0:c1,c2"}
	got, ok := o.options()
	want := `lowerdir=/a:/b,upperdir=/u,workdir=/w,context="system_u:object_r:container_file_t:s0:c1,c2"`
	if !ok || got != want {
		t.Errorf("options are %s (%v), want %s", got, ok, want)
	}
}

// TestMountAs_RefusesWhatIsNoLabel: parts of a label are whatever the author of a pod wrote.
func TestMountAs_RefusesWhatIsNoLabel(t *testing.T) {
	s := openStore(t, t.TempDir())
	for _, label := range []string{`u:r:t:s0",upperdir=/etc,workdir="/tmp`, `u:r:t:s0\`, "u:r:t:s0 x", "u:r:t:s0\n", "u:r:t:s0\x00"} {
		dir := t.TempDir()
		err := s.MountAs(Image{Ref: "app"}, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "root"), As{Label: label})
		if err == nil || !strings.Contains(err.Error(), "is no SELinux label") {
			t.Errorf("label %q: got %v, want a refusal", label, err)
		}
	}
}
