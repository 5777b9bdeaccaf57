package probe

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Kind is what a probe is for.
type Kind string

// The kinds, named as upstream's events name them.
const (
	Liveness  Kind = "Liveness"
	Readiness Kind = "Readiness"
	Startup   Kind = "Startup"
)

// Report is told after a probe that failed, warned or could not be done, or that changed the verdict, and after the first one if
// it confirms that a container is ready.
type Report struct {
	Kind    Kind
	Verdict bool
	Changed bool // the verdict is another than before
	Failed  bool // this probe failed; Message says how
	Warned  bool // it passed, and Message says what is not right
	Errored bool // it could not be done and counts for nothing; Message says why
	Message string
}

// quick is how soon a container that is not up yet is asked again when nothing
// listens: its process never sees those questions, and none counts as a failure.
const quick = 5 * time.Millisecond

// Run probes from initialDelaySeconds after started until ctx ends; a startup
// probe ends with its first verdict, a liveness probe when it failed. verdict is
// what counted before (liveness begins as true, others as false).
func Run(ctx context.Context, kind Kind, p *corev1.Probe, t *Target, started time.Time, verdict bool, report func(Report)) {
	period := seconds(p.PeriodSeconds, 10)
	due := started.Add(time.Duration(p.InitialDelaySeconds) * time.Second)
	if now := time.Now(); due.Before(now) {
		due = now
	}
	known := kind != Startup
	streak, last, first := 0, false, kind == Readiness
	fast, regular := quick, due
	for wait(ctx, time.Until(due)) {
		a := ask(ctx, p, t)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		if a.Err != nil {
			report(Report{Kind: kind, Verdict: verdict, Errored: true, Message: a.Err.Error()})
			regular = now.Add(period)
			due = regular
			continue
		}
		if early := a.Refused && !verdict && now.Before(regular); early {
			due, fast = earlier(now.Add(fast), regular), 2*fast
			continue
		}
		if a.OK != last || streak == 0 {
			streak, last = 0, a.OK
		}
		streak++
		changed := false
		if streak >= threshold(p, a.OK) && (!known || verdict != a.OK) {
			verdict, known, changed = a.OK, true, true
		}
		if changed || !a.OK || a.Warned || first && verdict {
			report(Report{Kind: kind, Verdict: verdict, Changed: changed, Failed: !a.OK, Warned: a.Warned, Message: a.Message})
		}
		first = false
		if changed && (kind == Startup || kind == Liveness && !verdict) {
			return
		}
		regular = now.Add(period)
		due = regular
		if a.Refused && !verdict && kind != Liveness {
			fast = quick
			due = earlier(now.Add(fast), regular)
			fast *= 2
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// tries is how often a probe is tried that cannot be done.
const tries = 3

func ask(ctx context.Context, p *corev1.Probe, t *Target) Answer {
	var a Answer
	for range tries {
		limited, cancel := context.WithTimeout(ctx, seconds(p.TimeoutSeconds, 1))
		a = Once(limited, &p.ProbeHandler, t)
		cancel()
		if a.Err == nil || ctx.Err() != nil {
			break
		}
	}
	return a
}

func threshold(p *corev1.Probe, ok bool) int {
	if ok {
		return max(int(p.SuccessThreshold), 1)
	}
	if p.FailureThreshold == 0 {
		return 3
	}
	return int(p.FailureThreshold)
}

func seconds(n, unset int32) time.Duration {
	if n <= 0 {
		n = unset
	}
	return time.Duration(n) * time.Second
}

// wait says whether the time passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
