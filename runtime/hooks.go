package runtime

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/probe"
	"writ/runtime/shim"
)

// maxOutput is how much of a probe's or hook's output is kept.
const maxOutput = 10 << 10

// hook runs postStart beside the container. One that fails ends the container.
func (w *worker) hook(c *corev1.Container) {
	oc := w.o.container(c.Name)
	if c.Lifecycle == nil || c.Lifecycle.PostStart == nil {
		oc.Hook = HookDone
		return
	}
	oc.Hook = HookRunning
	id, target := oc.Run.ID, w.target(c, oc.Run.ID)
	ctx, cancel := context.WithCancel(w.ctx)
	w.hooks[c.Name] = cancel
	w.task(func() {
		err := runHook(ctx, c.Lifecycle.PostStart, target)
		stopped := ctx.Err() != nil
		cancel()
		w.post(func() {
			oc := w.o.container(c.Name)
			if stopped || !oc.Run.Running() || oc.Run.ID != id {
				return
			}
			if err != nil {
				w.event(corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
				oc.Unhealthy = "failed postStart hook"
				return
			}
			oc.Hook = HookDone
		})
	})
}

// runHook runs a lifecycle handler to its end.
func runHook(ctx context.Context, h *corev1.LifecycleHandler, t *probe.Target) error {
	switch {
	case h.Exec != nil:
		code, out, err := t.Exec(ctx, h.Exec.Command)
		if err != nil {
			return err
		}
		if code != 0 {
			return fmt.Errorf("command %q exited with %d: %s", h.Exec.Command, code, out)
		}
	case h.HTTPGet != nil:
		status, _, err := probe.HTTPGet(ctx, h.HTTPGet, t)
		if err != nil {
			return err
		}
		if status >= 400 {
			return fmt.Errorf("HTTP status %d", status)
		}
	case h.Sleep != nil:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(h.Sleep.Seconds) * time.Second):
		}
	}
	return nil
}

// target is how a running container is asked.
func (w *worker) target(c *corev1.Container, id string) *probe.Target {
	client := w.shim
	return &probe.Target{IP: w.o.IP.String(), Container: c, Exec: func(ctx context.Context, args []string) (int, []byte, error) {
		var out limited
		request := shim.ExecRequest{ID: id, Args: args}
		if end, ok := ctx.Deadline(); ok {
			request.TimeoutMillis = max(time.Until(end).Milliseconds(), 1)
		}
		result, err := client.Exec(ctx, request, shim.Streams{Stdout: &out, Stderr: &out})
		if err == nil && result.TimedOut {
			err = context.DeadlineExceeded
		}
		return result.ExitCode, out.Bytes(), err
	}}
}

// limited keeps the first bytes written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxOutput - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
