package runtime

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/volume"
)

// volumes makes all volumes of the Pod. One that cannot be made holds the Pod back
// and is tried again, at once when what it waits for appears.
func (w *worker) volumes() {
	f, set := w.facts(), w.volumeSet()
	for i := range w.desired.Pod.Spec.Volumes {
		v := &w.desired.Pod.Spec.Volumes[i]
		if err := set.Prepare(f, v); err != nil {
			w.o.Volumes.fail(err, time.Now())
			w.event(corev1.EventTypeWarning, "FailedMount", "MountVolume.SetUp failed for volume %q : %v", v.Name, err)
			return
		}
	}
	w.o.Volumes.succeed()
}

// updateVolumes follows ConfigMaps, Secrets and the Pod's own labels. What is
// missing now leaves the old files.
func (w *worker) updateVolumes() {
	f, set := w.facts(), w.volumeSet()
	for i := range w.desired.Pod.Spec.Volumes {
		v := &w.desired.Pod.Spec.Volumes[i]
		if !volume.Projected(v) {
			continue
		}
		if _, err := set.Update(f, v); err != nil {
			w.event(corev1.EventTypeWarning, "FailedMount", "MountVolume.SetUp failed for volume %q : %v", v.Name, err)
		}
	}
}
