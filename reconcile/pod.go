package reconcile

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"

	"writ/manifest"
	"writ/state"
)

// defaultGrace is upstream's terminationGracePeriodSeconds, in seconds.
const defaultGrace = 30

// lastWord is how long after its grace a Pod is waited for on a node that is not declared any more.
const lastWord = 10 * time.Second

// pod carries a Pod to its end: one whose owner or node is gone goes, and a deleted one whose node has
// nothing left of it is removed. A Pod of the repository that was lost is made again.
func (d *draft) pod(r *state.Record) {
	if r.Deletion == nil {
		c := metav1.GetControllerOfNoCopy(r.Object)
		if r.Origin == state.Derived && c != nil && controller(d.w, r) == nil {
			d.end(r, "its owner is gone")
			return
		}
		if r.Controller != nil && controller(d.w, r) == nil {
			d.put(state.Put{Ref: r.Ref, Controller: &state.Controller{}, Why: "its owner is gone"})
		}
		if d.freed(r) {
			return
		}
		if r.Node != "" {
			on := d.w.Get(manifest.NodeRef(string(r.Node)))
			if on == nil {
				d.end(r, nodeGone(r))
				return
			}
			if d.driveOut(r, on) {
				return
			}
		}
		if !d.held(r) && !terminal(r) {
			d.ownClaims(r)
		}
		return
	}
	if why := d.over(r); why != "" && !d.awaited(r) {
		d.remove(r, why)
	}
}

// over is why nothing of a deleted Pod is left to wait for, empty while there is; it asks to be called again when
// time alone will change that.
func (d *draft) over(r *state.Record) string {
	switch {
	case r.Node == "":
		return "it was never bound"
	case stopped(r):
		return "nothing of it is left"
	case d.w.Get(manifest.NodeRef(string(r.Node))) != nil:
		return ""
	}
	if at := r.Deletion.Deadline().Add(lastWord); at.After(d.now) {
		d.later(at) // the node may be there still, and end it as it should
		return ""
	}
	return state.NodeGone
}

// nodeGone is why a Pod goes whose node is not declared any more: it is disrupted only if it has not ended itself.
func nodeGone(r *state.Record) string {
	if terminal(r) {
		return "it has ended, and its node is gone"
	}
	return state.NodeGone
}

// end decides that a Pod goes, with the grace it asks for. What runs nowhere goes at once.
func (d *draft) end(r *state.Record, why string) {
	if r.Deletion != nil {
		return
	}
	grace := int64(defaultGrace)
	if pod := r.Pod(); pod != nil && pod.Spec.TerminationGracePeriodSeconds != nil {
		grace = *pod.Spec.TerminationGracePeriodSeconds
	}
	if r.Node == "" {
		if r.Origin != state.Authored || d.adopt != nil {
			d.delete(r, why)
			return
		}
		grace = 0
	}
	d.put(state.Put{Ref: r.Ref, Deletion: &state.Deletion{At: d.now, Grace: grace, Reason: why}, Why: why})
}

// remove takes the record of a Pod away, and makes the Pod at once that the commit says runs under its name.
func (d *draft) remove(r *state.Record, why string) {
	again := "declared, and was lost"
	if r.Origin == state.Derived {
		again = "declared"
	}
	d.remake(r, why, again)
}

// remake takes away what was lost, or has ended, and makes it again if the commit declares it. What is authored is
// put by an adoption only: that of the adopted commit is repeated. While the commit's Set is not known, what is not
// to go waits for it.
func (d *draft) remake(r *state.Record, why, again string) {
	if d.set == nil {
		if r.Deletion != nil {
			d.delete(r, why)
		}
		return
	}
	item, ok := d.set.Get(r.Ref)
	if !ok {
		d.delete(r, why)
		return
	}
	d.readopt()
	del := []state.Delete{{Ref: r.Ref, UID: r.UID, Why: why}}
	object, err := d.admitted(item, nil)
	if err != nil {
		d.note(r.Ref, "", err.Error())
		d.apply(del, nil)
		return
	}
	put := state.Put{Ref: r.Ref, Object: object, Origin: state.Authored, Why: again}
	if pod, ok := object.(*corev1.Pod); ok {
		put.Status = pending(pod)
	}
	d.apply(del, []state.Put{put})
}

// readopt lets this draft put what the adopted commit declares.
func (d *draft) readopt() {
	if d.adopt == nil {
		a := d.base.Adopted()
		d.adopt = &a
	}
}

// podBefore is a Pod as the adopted commit declares it, nil if that is not known.
func (d *draft) podBefore(ref manifest.Ref) *corev1.Pod {
	if d.last == nil || d.last.Digest() != d.base.Adopted().Digest {
		return nil
	}
	item, _ := d.last.Get(ref)
	pod, _ := item.Object.(*corev1.Pod)
	return pod
}

// pending is the status of a Pod that nobody has looked at yet.
func pending(pod *corev1.Pod) *corev1.PodStatus {
	return &corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qos.ComputePodQOS(pod)}
}

func podReady(r *state.Record) bool { return state.PodIs(r.PodStatus(), corev1.PodReady) }

func stopped(r *state.Record) bool { return state.PodIs(r.PodStatus(), state.PodStopped) }

// terminal says that a Pod has ended by itself and will not run again.
func terminal(r *state.Record) bool {
	phase := r.PodStatus().Phase
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}
