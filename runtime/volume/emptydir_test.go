package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/runtime/oci"
)

func TestMemorySize(t *testing.T) {
	const mi = 1 << 20
	for _, tt := range []struct {
		name                    string
		node, container, volume string
		want                    int64
	}{
		{"nothing is known", "", "", "", 0},
		{"the node's", "64Mi", "", "", 64 * mi},
		{"the pod's limit", "64Mi", "32Mi", "", 32 * mi},
		{"the volume's", "64Mi", "32Mi", "8Mi", 8 * mi},
		{"the volume's is larger than the pod's", "64Mi", "32Mi", "48Mi", 32 * mi},
		{"the volume's is larger than the node", "64Mi", "", "1Gi", 64 * mi},
	} {
		amount := func(s string) corev1.ResourceList {
			if s == "" {
				return nil
			}
			return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(s)}
		}
		f := &oci.Facts{Allocatable: amount(tt.node), Pod: &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "c", Resources: corev1.ResourceRequirements{Limits: amount(tt.container), Requests: amount(tt.container)}}}}}}
		v := &corev1.EmptyDirVolumeSource{}
		if tt.volume != "" {
			q := resource.MustParse(tt.volume)
			v.SizeLimit = &q
		}
		if got := memorySize(f, v); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestHugePageSize(t *testing.T) {
	for _, tt := range []struct {
		name   string
		medium corev1.StorageMedium
		asked  []corev1.ResourceName
		want   string
		err    string
	}{
		{"the only size", "HugePages", []corev1.ResourceName{"hugepages-2Mi"}, "2Mi", ""},
		{"of its name", "HugePages-1Gi", []corev1.ResourceName{"hugepages-2Mi", "hugepages-1Gi"}, "1Gi", ""},
		{"two sizes", "HugePages", []corev1.ResourceName{"hugepages-2Mi", "hugepages-1Gi"}, "", "medium: HugePages can't be used if container requests multiple huge page sizes"},
		{"not asked for", "HugePages-1Gi", []corev1.ResourceName{"hugepages-2Mi"}, "", "medium HugePages-1Gi: hugePages storage requested, but there is no resource request for huge pages"},
	} {
		pod := &corev1.Pod{}
		for _, name := range tt.asked {
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{name: resource.MustParse("2Gi")}}})
		}
		got, err := hugePageSize(pod, tt.medium)
		if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err || err == nil && got.String() != tt.want {
			t.Errorf("%s: %s, %v, want %s %s", tt.name, got.String(), err, tt.want, tt.err)
		}
	}
}

// TestEmptyDir_KeepsWhatContainersMadeOfIt: a daemon that starts makes its volumes again, and changes none that was
// finished. One that a crash left half made is finished.
func TestEmptyDir_KeepsWhatContainersMadeOfIt(t *testing.T) {
	group := int64(os.Getegid())
	for _, tt := range []struct {
		name        string
		group       *int64
		first, left fs.FileMode // as it is made, and what a container makes of it
	}{
		{"of the default", nil, 0o777, 0o700},
		{"with a group", &group, 0o777 | fs.ModeSetgid, 0o750},
		{"sticky", nil, 0o777, 0o777 | fs.ModeSticky},
	} {
		s := &Set{Dir: filepath.Join(t.TempDir(), "volumes")}
		f := &oci.Facts{Pod: &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{FSGroup: tt.group}}}}
		v := &corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
		if err := errors.Join(os.Mkdir(s.Dir, 0o755), os.Mkdir(s.Path("v"), unmade)); err != nil { // a crash
			t.Fatal(err)
		}
		for _, want := range []fs.FileMode{tt.first, tt.left} {
			if err := s.Prepare(t.Context(), f, v); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(s.Path("v"))
			if err != nil || info.Mode() != want|fs.ModeDir {
				t.Errorf("%s: mode %v, %v, want %v", tt.name, info.Mode(), err, want)
			}
			if err := os.Chmod(s.Path("v"), tt.left); err != nil {
				t.Fatal(err)
			}
		}
	}
}
