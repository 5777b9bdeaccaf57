package manifest

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

func serviceSelector(obj Object) labels.Selector {
	return mapSelector(obj.(*corev1.Service).Spec.Selector)
}

// completeService makes the list of cluster addresses agree with the single one, as upstream's storage
// does before it applies the rules (normalizeClusterIPs): manifests name clusterIP alone.
func completeService(obj runtime.Object) {
	s, ok := obj.(*corev1.Service)
	if ok && s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
}
