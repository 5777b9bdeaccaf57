package manifest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// needPullSecret warns of a pull secret of another type than kubelet takes for one: it passes over it
// without a word.
func (w *whole) needPullSecret(p *parsed, n *need, in *parsed) {
	s, ok := in.Object.(*corev1.Secret)
	if !ok || s.Type == corev1.SecretTypeDockerConfigJson || s.Type == corev1.SecretTypeDockercfg {
		return
	}
	kind := s.Type
	if kind == "" {
		kind = corev1.SecretTypeOpaque
	}
	w.hint(p, n.field, fmt.Sprintf("%s in %s is of type %s, not %s: %s", n.ref, in.Source, kind, corev1.SecretTypeDockerConfigJson, n.why))
}
