package reconcile

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"writ/state"
)

// claimHealth: a claim that waits for its first Pod is as it should be, one for which nobody makes a volume is not.
func claimHealth(r *state.Record) (State, string) {
	s, _ := r.Status.(*corev1.PersistentVolumeClaimStatus)
	if s == nil {
		return Progressing, "not looked at yet"
	}
	switch s.Phase {
	case corev1.ClaimBound:
		return Healthy, ""
	case corev1.ClaimLost:
		return Degraded, "its volume " + r.Allocation.Volume + " is gone"
	}
	c := pendingIn(s)
	if c == nil {
		return Progressing, "pending"
	}
	switch c.Reason {
	case firstConsumer:
		return Healthy, c.Message
	case podScheduled, provisioning:
		return Progressing, c.Message
	}
	return Degraded, because(c.Reason, c.Message)
}

func volumeHealth(r *state.Record) (State, string) {
	s, _ := r.Status.(*corev1.PersistentVolumeStatus)
	switch {
	case s == nil:
		return Progressing, "not looked at yet"
	case s.Phase == corev1.VolumeFailed:
		return Degraded, because("failed", s.Message)
	case s.Phase == corev1.VolumeReleased:
		return Healthy, "released: its claim is gone, its files are kept"
	}
	return Healthy, ""
}

// classHealth says of a class that nobody here makes volumes for it.
func classHealth(c *storagev1.StorageClass) (State, string) {
	switch c.Provisioner {
	case state.LocalProvisioner, noProvisioner:
		return Healthy, ""
	}
	return Healthy, "provisioner " + c.Provisioner + " is not part of this cluster: volumes of this class have to be declared"
}
