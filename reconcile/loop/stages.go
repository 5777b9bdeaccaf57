package loop

import (
	"fmt"
	"time"

	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// Stages is how far the newest commit has come; none is reached before the one above it.
type Stages struct {
	Seen     state.Stage `json:"seen"`
	Verified state.Stage `json:"verified"` // its signatures are good, or nobody asks for any
	Rendered state.Stage `json:"rendered"` // read, without a mistake
	Adopted  state.Stage `json:"adopted"`
	Healthy  state.Stage `json:"healthy"` // every object of it has been healthy at one moment
}

// started is a commit that was seen.
func started(c Commit) Stages {
	s := Stages{Seen: state.Stage{At: c.Seen}, Verified: state.Stage{At: c.Verified, Reason: "signed by " + c.Signer}}
	if !s.Verified.Reached() {
		s.Verified = state.Stage{At: s.Seen.At, Reason: "signatures are not asked for"}
	}
	return s
}

// stop says why a commit does not get on, while it was read or after.
func (s *Stages) stop(reading bool, why string) {
	if reading {
		s.Rendered = state.Stage{Reason: why}
		return
	}
	s.Adopted = state.Stage{Reason: why}
}

func mistakenText(m manifest.Mistakes) string {
	if len(m) == 1 {
		return m[0].String()
	}
	return fmt.Sprintf("%d mistakes, the first: %s", len(m), m[0])
}

// heal looks whether the adopted commit, which is the newest, has become healthy. While the object
// that was not healthy at the last look is not, no other is looked at.
func (l *Loop) heal(now time.Time) {
	l.mu.Lock()
	open := l.report.Adopted && !l.report.Stages.Healthy.Reached()
	l.mu.Unlock()
	if !open {
		return
	}
	w := l.store.World()
	stage := state.Stage{At: now}
	if s, why := reconcile.Health(w, l.sick); l.sick.Kind != "" && !s.OK() && s != reconcile.Missing {
		stage = state.Stage{Reason: unhealthy(l.sick, s, why)}
	} else {
		l.sick = manifest.Ref{}
		for r := range w.Records() {
			if r.Origin != state.Authored && r.Ref.Kind != "Node" {
				continue
			}
			if s, why := reconcile.Health(w, r.Ref); !s.OK() {
				l.sick, stage = r.Ref, state.Stage{Reason: unhealthy(r.Ref, s, why)}
				break
			}
		}
	}
	l.tell(func(r *Report) { r.Stages.Healthy = stage })
}

func unhealthy(ref manifest.Ref, s reconcile.State, why string) string {
	if why == "" {
		return fmt.Sprintf("%s is %s", ref, s)
	}
	return fmt.Sprintf("%s is %s: %s", ref, s, why)
}
