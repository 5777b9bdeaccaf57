package runtime

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// rejection is why this node does not take a Pod, in the words of the kubelet.
type rejection struct{ reason, message string }

// admit says whether this node takes the Pod. One that it does not take ends as failed, as with the kubelet. While the
// daemon ends nothing is decided.
func (w *worker) admit() bool {
	if exists(w.paths.run) {
		return true // it was taken once
	}
	var pressed *rejection
	if w.reported == nil || w.reported.StartTime == nil {
		pressed = refusePressure(w.r.guard.Conditions(), w.desired.Pod)
	}
	no := cmp.Or(pressed, w.r.sysctls.refuse(w.desired.Pod), refuseAppArmor(w.desired.Pod, w.r.machine.LSM.AppArmor))
	if no == nil {
		no = w.allocate()
	}
	switch {
	case no == nil:
		return true
	case w.ctx.Err() != nil:
		return false // the daemon ends: whoever was asked did not answer
	}
	w.o.Failed = &Failure{Reason: no.reason, Message: "Pod was rejected: " + no.message}
	w.event(corev1.EventTypeWarning, no.reason, "%s", no.message)
	return false
}

// refuseAppArmor refuses a Pod that asks for a profile of the node where nothing enforces it. RuntimeDefault, which
// the kubelet refuses as well, asks for no more than every Pod gets.
func refuseAppArmor(pod *corev1.Pod, enabled bool) *rejection {
	local := func(p *corev1.AppArmorProfile) bool { return p != nil && p.Type == corev1.AppArmorProfileTypeLocalhost }
	asks := pod.Spec.SecurityContext != nil && local(pod.Spec.SecurityContext.AppArmorProfile)
	for c := range containers(&pod.Spec) {
		asks = asks || c.SecurityContext != nil && local(c.SecurityContext.AppArmorProfile)
	}
	for key, value := range pod.Annotations {
		asks = asks || strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) &&
			strings.HasPrefix(value, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
	}
	if !asks || enabled {
		return nil
	}
	return &rejection{"AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"}
}
