package reconcile

import (
	"encoding/json"
	"time"

	"writ/state"
)

// RolloutAnnotation is computed for what keeps a revision (a ReplicaSet of a Deployment, a
// ControllerRevision): its last Rollout.
const RolloutAnnotation = "writ.dev/rollout"

// Outcome is how a rollout ended.
type Outcome string

const (
	Complete   Outcome = "complete"   // every replica was new and available
	Failed     Outcome = "failed"     // it missed its deadline
	Superseded Outcome = "superseded" // another revision took its place before
)

// Rollout is how a revision was rolled out the last time.
type Rollout struct {
	Revision int64     `json:"revision"`
	Commit   string    `json:"commit"` // that was adopted when it began
	Begun    time.Time `json:"begun"`
	Ended    time.Time `json:"ended,omitzero"`
	Outcome  Outcome   `json:"outcome,omitempty"` // empty while it goes on
}

// RolloutOf is that of the record which keeps a revision, false if none is known.
func RolloutOf(r *state.Record) (Rollout, bool) {
	var x Rollout
	text := r.Annotations[RolloutAnnotation]
	if text == "" || json.Unmarshal([]byte(text), &x) != nil {
		return Rollout{}, false
	}
	return x, true
}

// rolled writes down how the rollout of the newest revision goes; empty is on its way. Of others none goes on. One
// that failed may still complete; one that was complete stays so, whatever becomes of its Pods.
func (d *draft) rolled(next *state.Record, number int64, others []*state.Record, outcome Outcome) {
	x, ok := RolloutOf(next)
	if !ok || x.Revision != number {
		x = Rollout{Revision: number, Commit: d.w.Adopted().Commit, Begun: d.now.UTC().Truncate(time.Millisecond)}
		if old := d.base.Get(next.Ref); !ok && old != nil && old.UID == next.UID { // known before rollouts were
			x.Commit, x.Begun = next.Commit, next.Created.UTC()
		}
	}
	if x.Outcome != Complete && outcome != "" && x.Outcome != outcome {
		x.Outcome, x.Ended = outcome, d.now.UTC().Truncate(time.Millisecond)
	}
	d.keepRollout(next, x)
	for _, r := range others {
		if y, ok := RolloutOf(r); ok && y.Outcome == "" {
			y.Outcome, y.Ended = Superseded, d.now.UTC().Truncate(time.Millisecond)
			d.keepRollout(r, y)
		}
	}
}

func (d *draft) keepRollout(r *state.Record, x Rollout) {
	text, err := json.Marshal(x)
	if err != nil {
		d.err = err
		return
	}
	d.annotate(r, RolloutAnnotation, string(text), "")
}

// rolledText shows a rollout in one word.
func rolledText(text string) string {
	var x Rollout
	if json.Unmarshal([]byte(text), &x) != nil || x.Outcome == "" {
		return "begun"
	}
	return string(x.Outcome)
}

// tracked writes down how the rollout of a Deployment goes.
func (x *deployment) tracked(late bool) {
	if x.next == nil {
		return
	}
	var others []*state.Record
	for _, v := range x.old {
		others = append(others, v.r)
	}
	outcome := Outcome("")
	switch {
	case x.complete():
		outcome = Complete
	case late:
		outcome = Failed
	}
	x.d.rolled(x.next.r, revisionOf(x.next.rs), others, outcome)
}

// rolledHistory writes down how the rollout of a StatefulSet or DaemonSet to its newest revision goes.
func (d *draft) rolledHistory(owner, newest *state.Record, complete bool) {
	if newest == nil {
		return
	}
	var others []*state.Record
	for r := range d.w.Owned(owner.UID) {
		if r.Ref.Kind == newest.Ref.Kind && r.Ref != newest.Ref {
			others = append(others, r)
		}
	}
	outcome := Outcome("")
	if complete {
		outcome = Complete
	}
	d.rolled(newest, RevisionNumber(newest), others, outcome)
}
