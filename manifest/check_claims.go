package manifest

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// exclusiveClaims warns of Deployments whose Pods share a claim that one Pod has for itself, and of those whose
// strategy keeps it taken until a new Pod has it.
func (w *whole) exclusiveClaims() {
	for _, p := range ofKind(w.objects, DeploymentRef("", "")) {
		d := p.Object.(*appsv1.Deployment)
		if p.pods == nil || d.Spec.Replicas == nil || *d.Spec.Replicas == 0 {
			continue
		}
		for i := range p.pods.spec.Volumes {
			source := p.pods.spec.Volumes[i].PersistentVolumeClaim
			if source == nil {
				continue
			}
			claim := w.byRef[ClaimRef(p.Ref.Namespace, source.ClaimName)]
			if claim == nil || !slices.Contains(claim.Object.(*corev1.PersistentVolumeClaim).Spec.AccessModes, corev1.ReadWriteOncePod) {
				continue
			}
			field := index(p.pods.path+".volumes", i) + ".persistentVolumeClaim.claimName"
			switch {
			case *d.Spec.Replicas > 1:
				w.hint(p, field, fmt.Sprintf("one pod has %s for itself (ReadWriteOncePod): of %d pods one can run", claim.Ref, *d.Spec.Replicas))
			case unavailable(d) == 0:
				w.hint(p, field, fmt.Sprintf("one pod has %s for itself (ReadWriteOncePod), and no pod may go before a new one is ready: a change of the template would wait for ever; set spec.strategy.rollingUpdate.maxUnavailable to 1, or spec.strategy.type to Recreate", claim.Ref))
			}
		}
	}
}
