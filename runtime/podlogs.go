package runtime

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"writ/runtime/logs"
)

// LogOptions say what of a container's log is wanted.
type LogOptions struct {
	Follow, Previous, Timestamps bool
	Tail                         int // last lines, negative for all
	Since                        time.Time
	LimitBytes                   int64 // 0: no limit
}

// Logs writes the log of a container of this node, of its present attempt or of the
// one before. With Follow it returns when the container ends or ctx does.
func (r *Runtime) Logs(ctx context.Context, namespace, pod, container string, o LogOptions, out io.Writer) error {
	w, err := r.find(ctx, namespace, pod)
	if err != nil {
		return err
	}
	s := w.shown.Load()
	if s == nil {
		return fmt.Errorf("pod %q: %w", pod, ErrNotRunning)
	}
	if container == "" {
		container = DefaultContainer(s.Pod)
	}
	c, known := s.Containers[container]
	if !known && !s.declares(container) {
		return fmt.Errorf("container %q of pod %q: %w", container, pod, ErrNotFound)
	}
	path := c.LogPath
	if o.Previous {
		if path = c.PreviousLogPath; path == "" {
			return fmt.Errorf("previous terminated container %q in pod %q %w", container, pod, ErrNotFound)
		}
	}
	if path == "" {
		return fmt.Errorf("container %q in pod %q is waiting to start: %s: %w", container, pod, s.why(container), ErrNotRunning)
	}
	opts := logs.Options{Tail: o.Tail, Since: o.Since, Timestamps: o.Timestamps, LimitBytes: o.LimitBytes, Follow: o.Follow && !o.Previous}
	if !opts.Follow {
		return logs.Read(ctx, r.hub, path, opts, out)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opts.Ended = w.endOf(ctx, container, c.ID)
	return logs.Read(ctx, r.hub, path, opts, out)
}

// endOf closes when a container of the Pod no longer runs.
func (w *worker) endOf(ctx context.Context, container, id string) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			s := w.shown.Load()
			if c := s.Containers[container]; c.ID != id || !c.Running {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-w.done:
				return
			case <-s.next:
			}
		}
	}()
	return ended
}

func (s *Snapshot) declares(container string) bool {
	for i := range s.Pod.Spec.InitContainers {
		if s.Pod.Spec.InitContainers[i].Name == container {
			return true
		}
	}
	for i := range s.Pod.Spec.Containers {
		if s.Pod.Spec.Containers[i].Name == container {
			return true
		}
	}
	return false
}

func (s *Snapshot) why(container string) string {
	if s.Status == nil {
		return "ContainerCreating"
	}
	for _, c := range slices.Concat(s.Status.InitContainerStatuses, s.Status.ContainerStatuses) {
		if c.Name == container && c.State.Waiting != nil {
			return c.State.Waiting.Reason
		}
	}
	return "ContainerCreating"
}
