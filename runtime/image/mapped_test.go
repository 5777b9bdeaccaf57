package image

import "testing"

// TestOverlay_Label: a label has commas, so it stands in quotes; the kernel takes them off (selinux's mount options).
func TestOverlay_Label(t *testing.T) {
	o := overlay{lower: []string{"/a", "/b"}, upper: "/u", work: "/w", label: "system_u:object_r:container_file_t:s0:c1,c2"}
	got, ok := o.options()
	want := `lowerdir=/a:/b,upperdir=/u,workdir=/w,context="system_u:object_r:container_file_t:s0:c1,c2"`
	if !ok || got != want {
		t.Errorf("options are %s (%v), want %s", got, ok, want)
	}
}
