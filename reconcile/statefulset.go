package reconcile

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

const statefulSetController = "statefulset-controller"

// stateful is one StatefulSet in the making of a Plan. It is read again from the draft at every step.
type stateful struct {
	d        *draft
	r        *state.Record
	set      *appsv1.StatefulSet
	versions versions
	past     []*state.Record // its revisions, oldest first
	// The revision that it comes from and the one that it goes to; nil while there is none. collisions counts the names
	// that other templates had taken.
	current, update *state.Record
	collisions      int32
	start, end      int                   // of the ordinals that are wanted, the last one not included
	at              map[int]*state.Record // its Pods that are wanted, by ordinal
	condemned       []*state.Record       // its other Pods, highest ordinal first
}

// statefulSet takes a StatefulSet as far as its rules allow now, as upstream's controller in steps that are repeated
// until none is left.
func (d *draft) statefulSet(r *state.Record) {
	if r.Deletion != nil || d.held(r) {
		return
	}
	d.settleRevisions(r)
	if set, ok := r.Object.(*appsv1.StatefulSet); ok { // one after the other
		d.podLists(r, int(r.Replicas(set.Spec.Replicas))-1, set.Spec.MinReadySeconds)
	}
	steps := 0
	for {
		x := d.stateful(d.w.Get(r.Ref))
		if x == nil || !x.revise() || !x.step() || d.err != nil {
			return
		}
		if steps++; steps > 2*(x.end-x.start+len(x.condemned))+rounds { // every step makes or ends a Pod
			return
		}
	}
}

// stateful reads a StatefulSet with its Pods and its history, nil if the record is of another kind.
func (d *draft) stateful(r *state.Record) *stateful {
	set, ok := r.Object.(*appsv1.StatefulSet)
	if !ok {
		return nil
	}
	set = d.configuredSet(r, set)
	x := &stateful{d: d, r: r, set: set, at: map[int]*state.Record{}, start: ordinalStart(set)}
	x.end = x.start + int(r.Replicas(set.Spec.Replicas))
	x.versions = versions{
		d: d, owner: r, template: &set.Spec.Template, selector: set.Spec.Selector,
		label: revisionHashLabel, hash: revisionHash,
	}
	x.readPods()
	return x
}

func ordinalStart(set *appsv1.StatefulSet) int {
	if set.Spec.Ordinals == nil {
		return 0
	}
	return int(set.Spec.Ordinals.Start)
}

func (x *stateful) readPods() {
	for p := range x.d.w.Owned(x.r.UID) {
		n, ok := ordinalOf(x.r.Ref.Name, p.Ref)
		switch {
		case !ok:
		case n >= x.start && n < x.end:
			x.at[n] = p
		default:
			x.condemned = append(x.condemned, p)
		}
	}
	slices.SortFunc(x.condemned, func(a, b *state.Record) int { return cmp.Compare(x.ordinal(b), x.ordinal(a)) })
}

// ordinalOf is the number of a Pod in the set of a name, false if it has none.
func ordinalOf(set string, ref manifest.Ref) (int, bool) {
	text, found := strings.CutPrefix(ref.Name, set+"-")
	if !found || ref.Kind != "Pod" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, false
	}
	return int(n), true
}

// staying are the Pods of the repository that are not wanted and stay.
func (x *stateful) staying() []*state.Record {
	return slices.DeleteFunc(slices.Clone(x.condemned), func(p *state.Record) bool { return p.Deletion != nil || !standsAuthored(p) })
}

func (x *stateful) ordinal(p *state.Record) int {
	n, _ := ordinalOf(x.r.Ref.Name, p.Ref)
	return n
}

func (x *stateful) podName(ordinal int) string { return x.r.Ref.Name + "-" + strconv.Itoa(ordinal) }

// ordered says that Pods are made and ended one after the other.
func (x *stateful) ordered() bool {
	return x.set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
}

// status is what was stated of the set last, never nil.
func (x *stateful) status() *appsv1.StatefulSetStatus {
	if s, ok := x.r.Status.(*appsv1.StatefulSetStatus); ok {
		return s
	}
	return &appsv1.StatefulSetStatus{}
}

// revise finds the revisions that the set comes from and goes to, and makes that of a new template; false if there is
// none yet. A template that has none waits for what the set depends on.
func (x *stateful) revise() bool {
	x.readRevisions()
	if x.update == nil || x.update != x.past[len(x.past)-1] {
		found, err := x.versions.find(x.past)
		if err == nil && found == nil && len(x.d.waitsFor(x.r)) > 0 {
			return x.update != nil
		}
		if err == nil {
			x.update, x.collisions, err = x.versions.latest(x.past, x.collisions)
		}
		if err != nil {
			x.d.note(x.r.Ref, "spec.template", err.Error())
			return false
		}
		x.past = x.versions.list()
	}
	if x.current == nil {
		x.current = x.update
	}
	return true
}

// readRevisions finds the revisions as far as they are there. While a new template waits, the latest one counts.
func (x *stateful) readRevisions() {
	x.past = x.versions.list()
	s := x.status()
	x.collisions = deref(s.CollisionCount)
	if len(x.past) == 0 {
		return
	}
	x.update = x.past[len(x.past)-1]
	if found, err := x.versions.find(x.past); err == nil && found != nil {
		x.update = found
	} else if len(x.d.waitsFor(x.r)) == 0 {
		x.update = nil
	}
	for _, r := range x.past {
		if r.Ref.Name == s.CurrentRevision {
			x.current = r
		}
	}
	if x.current == nil {
		x.current = x.update
	}
}

// step makes or ends what is to be made or ended next, and says whether there may be more to do at once.
func (x *stateful) step() bool {
	if x.d.claimPods(x.r) {
		return true
	}
	x.keepClaims()
	moved, blocked := x.fill()
	if !blocked {
		var ended bool
		ended, blocked = x.shrink()
		moved = moved || ended
	}
	if !blocked && !moved {
		moved = x.roll()
	}
	return moved
}

// truncate keeps no more revisions that nothing is of than revisionHistoryLimit says.
func (x *stateful) truncate(current string) {
	limit := x.set.Spec.RevisionHistoryLimit
	if limit == nil || x.update == nil || x.r.Deletion != nil || x.d.uses(x.r) {
		return
	}
	old := slices.DeleteFunc(slices.Clone(x.past), func(r *state.Record) bool { return r.Ref == x.update.Ref || r.Ref.Name == current })
	x.versions.truncate(old, int(*limit), false, func(r *state.Record) string { return r.Ref.Name })
}

func revisionLabel(p *state.Record) string {
	return p.Object.GetLabels()[appsv1.StatefulSetRevisionLabel]
}

// fill makes the Pods that are missing and replaces those that have ended. In order, a Pod is made once all before it
// are available; blocked says that one is not.
func (x *stateful) fill() (moved, blocked bool) {
	for n := x.start; n < x.end; n++ {
		p := x.at[n]
		switch {
		case p == nil:
			moved = x.create(n) || moved
			if x.ordered() {
				return moved, true
			}
		case spent(p):
			if x.ordered() {
				return moved, true
			}
		case terminal(p):
			moved = x.stop(p, "it has ended") || moved
			if x.ordered() {
				return moved, true
			}
		case x.broken(p):
			moved = x.stop(p, "it is not ready, and of an older revision") || moved
			if x.ordered() {
				return moved, true
			}
		case x.ordered() && !x.well(p):
			return moved, true
		}
	}
	return moved, false
}

// broken says that a Pod will not be missed: it is not ready and is to become another one. Upstream waits for it to
// become ready first, which it may never do (kubernetes#67250).
func (x *stateful) broken(p *state.Record) bool {
	return x.rolls() && p.Deletion == nil && !runningReady(p) && !asIn(x.wants(x.ordinal(p)), p)
}

// rolls says that Pods become those of a new revision by themselves.
func (x *stateful) rolls() bool {
	return x.set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType
}

// wants is the revision of a Pod that is made now.
func (x *stateful) wants(ordinal int) *state.Record {
	if ordinal < x.start+x.partition() {
		return x.current
	}
	return x.update
}

func (x *stateful) partition() int {
	if u := x.set.Spec.UpdateStrategy.RollingUpdate; u != nil {
		return int(deref(u.Partition))
	}
	return 0
}

// well says that a Pod is there to stay, runs, and has been ready for long enough.
func (x *stateful) well(p *state.Record) bool {
	return p != nil && p.Deletion == nil && runningReady(p) && x.d.available(p, x.set.Spec.MinReadySeconds)
}

func runningReady(p *state.Record) bool {
	return p.PodStatus().Phase == corev1.PodRunning && podReady(p)
}

// shrink ends the Pods that are not wanted: in order, the highest first, one after the other, while all that are wanted
// are available. Upstream waits for one that is not available to become so while a lower one is not either.
func (x *stateful) shrink() (moved, blocked bool) {
	for _, p := range x.condemned {
		switch {
		case p.Deletion != nil && x.ordered():
			return moved, true
		case p.Deletion != nil, standsAuthored(p): // what is written in the repository goes only when its file does
		default:
			moved = x.stop(p, "scaled down") || moved
			if x.ordered() {
				return moved, true
			}
		}
	}
	return moved, false
}

// stop ends a Pod.
func (x *stateful) stop(p *state.Record, why string) bool {
	if p.Deletion != nil {
		return false
	}
	x.d.end(p, why)
	x.d.event(x.r, corev1.EventTypeNormal, "SuccessfulDelete", statefulSetController, "Delete Pod %s in StatefulSet %s successful", p.Ref.Name, x.r.Ref.Name)
	return x.d.w.Get(p.Ref) == nil // it ran nowhere: another one can be made at once
}
