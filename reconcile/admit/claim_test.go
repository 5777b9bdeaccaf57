package admit

import (
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

func storage(size string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
}

func written(name, class, size string) state.Put {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"disk": name}},
		Spec: corev1.PersistentVolumeSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, Capacity: storage(size), StorageClassName: class}}
	return state.Put{Ref: manifest.VolumeRef(name), Origin: state.Authored, Object: manifest.Default(v)}
}

func storageClass(name string, standard bool) state.Put {
	c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: "example.com/disk"}
	if standard {
		c.Annotations = map[string]string{DefaultClass: "true"}
	}
	return state.Put{Ref: manifest.StorageClassRef(name), Origin: state.Authored, Object: c}
}

// TestClaim: which class a claim gets that names none.
func TestClaim(t *testing.T) {
	selects := func(disk string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"disk": disk}}
	}
	for _, tt := range []struct {
		name, want string
		declared   []state.Put
		claim      corev1.PersistentVolumeClaimSpec
	}{
		{"nothing is declared", "local", nil, corev1.PersistentVolumeClaimSpec{}},
		{"a class that is no default", "local", []state.Put{storageClass("slow", false)}, corev1.PersistentVolumeClaimSpec{}},
		{"a default class", "fast", []state.Put{storageClass("slow", false), storageClass("fast", true), written("pv", "", "1Gi")}, corev1.PersistentVolumeClaimSpec{}},
		{"its own class", "slow", []state.Put{storageClass("fast", true)}, corev1.PersistentVolumeClaimSpec{StorageClassName: new("slow")}},
		{"a volume is written down for it", "", []state.Put{written("pv", "", "1Gi")}, corev1.PersistentVolumeClaimSpec{Selector: selects("pv")}},
		{"for another", "local", []state.Put{written("pv", "", "1Gi")}, corev1.PersistentVolumeClaimSpec{Selector: selects("other")}},
		{"too small", "local", []state.Put{written("pv", "", "1Mi")}, corev1.PersistentVolumeClaimSpec{}},
		{"of a class", "local", []state.Put{written("pv", "slow", "1Gi")}, corev1.PersistentVolumeClaimSpec{}},
		{"by name", "", []state.Put{written("pv", "", "1Mi")}, corev1.PersistentVolumeClaimSpec{VolumeName: "pv"}},
		{"another's name", "local", []state.Put{written("pv", "", "1Gi")}, corev1.PersistentVolumeClaimSpec{VolumeName: "other"}},
	} {
		w := state.NewWorld(uuid.New())
		w, _, err := state.Apply(w, state.Batch{Writer: state.WriterReconcile, Now: time.Unix(1, 0), Puts: tt.declared, Adopt: &state.Adoption{Commit: "c"}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data"}, Spec: tt.claim}
		c.Spec.AccessModes, c.Spec.Resources.Requests = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, storage("1Gi")
		got := Claim(w, manifest.Default(c).(*corev1.PersistentVolumeClaim))
		if got.Spec.StorageClassName == nil || *got.Spec.StorageClassName != tt.want {
			t.Errorf("%s: class %v, want %q", tt.name, got.Spec.StorageClassName, tt.want)
		}
	}
}
