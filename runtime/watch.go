package runtime

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/probe"
)

// watch has every running container probed as its Pod asks, and none other.
func (w *worker) watch() {
	if w.desired.Gone || w.shim == nil {
		return
	}
	spec := &w.desired.Pod.Spec
	for i := range spec.InitContainers {
		if sidecar(&spec.InitContainers[i]) {
			w.watchOne(&spec.InitContainers[i])
		}
	}
	for i := range spec.Containers {
		w.watchOne(&spec.Containers[i])
	}
}

func (w *worker) watchOne(c *corev1.Container) {
	oc := w.o.Containers[c.Name]
	if oc == nil || !oc.Run.Running() || oc.Kill != nil || oc.Hook != HookDone {
		return
	}
	if c.StartupProbe == nil {
		oc.Passed = true
	}
	if oc.Passed && c.ReadinessProbe == nil {
		oc.Ready = true
	}
	if w.probes[c.Name] != nil || c.StartupProbe == nil && c.ReadinessProbe == nil && c.LivenessProbe == nil {
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	lives, endLives := context.WithCancel(ctx) // of the probes that end the container
	w.probes[c.Name], w.lives[c.Name] = cancel, endLives
	id, target, begun := oc.Run.ID, w.target(c, oc.Run.ID), oc.Run.StartedAt
	passed, ready := oc.Passed, oc.Ready
	w.task(func() {
		reporter := func(ctx context.Context) func(probe.Report) {
			return func(r probe.Report) { w.post(func() { w.judge(ctx, c, id, r) }) }
		}
		if !passed && !w.startup(lives, c, target, begun, reporter(lives)) {
			return
		}
		var both sync.WaitGroup
		if p := c.LivenessProbe; p != nil {
			both.Go(func() { probe.Run(lives, probe.Liveness, p, target, begun, true, reporter(lives)) })
		}
		if p := c.ReadinessProbe; p != nil {
			probe.Run(ctx, probe.Readiness, p, target, begun, ready, reporter(ctx))
		}
		both.Wait()
	})
}

// startup runs the startup probe and says whether it passed.
func (w *worker) startup(ctx context.Context, c *corev1.Container, target *probe.Target, begun time.Time, report func(probe.Report)) bool {
	passed := false
	probe.Run(ctx, probe.Startup, c.StartupProbe, target, begun, false, func(r probe.Report) {
		passed = r.Changed && r.Verdict
		report(r)
	})
	return passed
}

// judge takes in what a probe found of a run that is still the present one.
func (w *worker) judge(ctx context.Context, c *corev1.Container, id string, r probe.Report) {
	oc := w.o.container(c.Name)
	if ctx.Err() != nil || !oc.Run.Running() || oc.Run.ID != id {
		return
	}
	oc.Judged = oc.Judged || r.Kind == probe.Readiness && r.Verdict || r.Kind != probe.Liveness && r.Failed
	r.Message = strings.ReplaceAll(r.Message, id, c.Name) // told again it has to be the same
	switch {
	case r.Errored:
		w.about(c, corev1.EventTypeWarning, "Unhealthy", "%s probe errored and resulted in unknown state: %s", r.Kind, r.Message)
	case r.Failed:
		w.about(c, corev1.EventTypeWarning, "Unhealthy", "%s probe failed: %s", r.Kind, r.Message)
	case r.Warned:
		w.about(c, corev1.EventTypeWarning, "ProbeWarning", "%s probe warning: %s", r.Kind, r.Message)
	}
	if !r.Changed {
		return
	}
	var p *corev1.Probe
	switch r.Kind {
	case probe.Readiness:
		oc.Ready = r.Verdict
		return
	case probe.Startup:
		if oc.Passed = r.Verdict; r.Verdict {
			return
		}
		p = c.StartupProbe
		oc.Unhealthy = "failed startup probe"
	case probe.Liveness:
		p = c.LivenessProbe
		oc.Unhealthy = "failed liveness probe"
	}
	oc.UnhealthyGrace = p.TerminationGracePeriodSeconds
}

// backedOff tells people once that a container waits for its restart.
func (w *worker) backedOff(name, id string) {
	if w.backoffs[name] == id {
		return
	}
	w.backoffs[name] = id
	w.about(w.spec(name), corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container %s in pod %s", name, w.podFormat())
}

func (w *worker) podFormat() string {
	return fmt.Sprintf("%s_%s(%s)", w.ref.Name, w.ref.Namespace, w.uid)
}
