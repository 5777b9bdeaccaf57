package reconcile

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	hashutil "k8s.io/kubernetes/pkg/util/hash"

	"writ/manifest"
	"writ/state"
)

// templateHash is upstream's pod-template-hash. It only names a ReplicaSet; which one belongs to a
// template is found by equality, since a new field changes the hash.
func templateHash(template *corev1.PodTemplateSpec, collisions *int32) string {
	h := fnv.New32a()
	hashutil.DeepHashObject(h, *template)
	if collisions != nil {
		var b [8]byte
		binary.LittleEndian.PutUint32(b[:], uint32(*collisions))
		_, _ = h.Write(b[:])
	}
	return utilrand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// sameTemplate compares the template of a Deployment with that of a ReplicaSet without its hash label.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	if otherTemplate(a, b) {
		return false
	}
	x, y := *a, *b
	x.Labels, y.Labels = withoutHash(a.Labels), withoutHash(b.Labels)
	return equality.Semantic.DeepEqual(&x, &y)
}

// otherTemplate says that two templates differ in what mostly differs, in which no default makes them equal. It is
// false where only a comparison of the whole tells.
func otherTemplate(a, b *corev1.PodTemplateSpec) bool {
	if len(a.Spec.Containers) != len(b.Spec.Containers) || a.Annotations[state.PinnedConfigAnnotation] != b.Annotations[state.PinnedConfigAnnotation] {
		return true
	}
	for i := range a.Spec.Containers {
		if a.Spec.Containers[i].Image != b.Spec.Containers[i].Image {
			return true
		}
	}
	return false
}

func withoutHash(labels map[string]string) map[string]string {
	if _, ok := labels[appsv1.DefaultDeploymentUniqueLabelKey]; !ok {
		return labels
	}
	labels = maps.Clone(labels)
	delete(labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return labels
}

// findNew is the ReplicaSet of a Deployment's template: the oldest, as upstream, that is equal as it
// is stored or, after an upgrade that defaults more fields, once it is defaulted again.
func findNew(dep *appsv1.Deployment, sets []*state.Record) *state.Record {
	for _, r := range sets {
		if sameTemplate(&dep.Spec.Template, &r.Object.(*appsv1.ReplicaSet).Spec.Template) {
			return r
		}
	}
	for _, r := range sets {
		if otherTemplate(&dep.Spec.Template, &r.Object.(*appsv1.ReplicaSet).Spec.Template) {
			continue
		}
		again, ok := defaulted(r.Object).(*appsv1.ReplicaSet)
		if ok && sameTemplate(&dep.Spec.Template, &again.Spec.Template) {
			return r
		}
	}
	return nil
}

// defaulted is a copy of an object with every default filled in.
func defaulted(o manifest.Object) manifest.Object { return manifest.Default(o) }

// generatedName is upstream's generateName: the base cut so that the whole is a label value.
func generatedName(base, end string) string {
	const longest = 63 - 5
	if len(base) > longest {
		base = base[:longest]
	}
	return base + end
}
