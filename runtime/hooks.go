package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/probe"
	"writ/runtime/shim"
	"writ/state"
)

// maxOutput is how much of a probe's or hook's output is kept.
const maxOutput = 10 << 10

// hook runs postStart beside the container. One that fails ends the container.
func (w *worker) hook(c *corev1.Container) {
	oc := w.o.container(c.Name)
	hook := postStart(c)
	if hook == nil {
		oc.Hook = HookDone
		return
	}
	oc.Hook = HookRunning
	id := oc.Run.ID
	ctx, cancel := context.WithCancel(w.ctx)
	w.hooks[c.Name] = cancel
	run := w.lifecycle(c, id, hook)
	w.task(func() {
		failure := run(ctx)
		stopped := ctx.Err() != nil
		cancel()
		w.post(func() {
			oc := w.o.container(c.Name)
			if stopped || oc.Run == nil || oc.Run.ID != id || !oc.Run.Running() && failure == "" {
				return
			}
			if failure != "" {
				w.about(c, corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
				oc.Unhealthy, oc.HookFailure = unhealthyHook, failure
				return
			}
			oc.Hook = HookDone
		})
	})
}

func postStart(c *corev1.Container) *corev1.LifecycleHandler {
	if c.Lifecycle == nil {
		return nil
	}
	return c.Lifecycle.PostStart
}

// lifecycle is a handler of a container, ready to run; it returns what failed, in the words of a kubelet.
func (w *worker) lifecycle(c *corev1.Container, id string, h *corev1.LifecycleHandler) func(context.Context) string {
	target, pod := w.target(c, id), w.podFormat()
	failed := func(kind string, what any, err error) string {
		return fmt.Sprintf("%s lifecycle hook (%v) for Container %q in Pod %q failed - error: %v", kind, what, c.Name, pod, err)
	}
	return func(ctx context.Context) string {
		switch {
		case h.Exec != nil:
			code, out, err := target.Exec(ctx, h.Exec.Command)
			if err == nil && code != 0 {
				err = fmt.Errorf("command '%s' exited with %d: %s", strings.Join(h.Exec.Command, " "), code, out)
			}
			if err != nil {
				return failed("Exec", h.Exec.Command, err) + fmt.Sprintf(", message: %q", out)
			}
		case h.HTTPGet != nil:
			fallback, err := probe.Hook(ctx, h.HTTPGet, target)
			if fallback != "" {
				w.post(func() {
					w.about(c, corev1.EventTypeWarning, "LifecycleHTTPFallback", "request to HTTPS lifecycle hook %s got HTTP response, retry with HTTP succeeded", fallback)
				})
			}
			if err != nil {
				return failed("HTTP", h.HTTPGet.Path, err)
			}
		case h.Sleep != nil:
			if err := sleep(ctx, h.Sleep.Seconds); err != nil {
				return failed("Sleep", h.Sleep.Seconds, err)
			}
		default:
			return "Cannot run handler: invalid handler: it is neither exec nor httpGet nor sleep"
		}
		return ""
	}
}

func sleep(ctx context.Context, n int64) error {
	t := time.NewTimer(state.Seconds(n))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return errors.New("container terminated before sleep hook finished")
	case <-t.C:
		return nil
	}
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
