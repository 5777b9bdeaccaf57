package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/shim"
	"writ/state"
)

// ErrNotFound: no such Pod or container on this node. ErrNotRunning: it is there and
// does not run now.
var (
	ErrNotFound   = errors.New("not found")
	ErrNotRunning = errors.New("container is not running")
)

// Size is a terminal's, in characters.
type Size = shim.Size

// ExecOptions is a command to run in a container. Stdin, Stdout and Stderr may be
// nil. A Stdin whose Read blocks holds a goroutine until it returns.
type ExecOptions struct {
	Namespace, Pod string
	Container      string // empty: the default container
	Command        []string
	TTY            bool
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Resize         <-chan Size
}

// Exec runs a command in a running container and returns its exit code. If ctx ends
// first the command is killed.
func (r *Runtime) Exec(ctx context.Context, o ExecOptions) (int, error) {
	client, id, err := r.runningContainer(ctx, o.Namespace, o.Pod, o.Container)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result, err := client.Exec(ctx, shim.ExecRequest{ID: id, Args: o.Command, TTY: o.TTY}, o.streams())
	if err != nil {
		return 0, fmt.Errorf("exec in %s/%s: %w", o.Namespace, o.Pod, err)
	}
	return result.ExitCode, nil
}

// Attach follows what a running container prints from now on and sends to its standard input, if Stdin is
// given; a container without one refuses that. It returns the container's exit code when it ends. The container
// goes on if ctx ends first; one with stdinOnce then sees the end of its input.
func (r *Runtime) Attach(ctx context.Context, o ExecOptions) (int, error) {
	client, id, err := r.runningContainer(ctx, o.Namespace, o.Pod, o.Container)
	if err != nil {
		return 0, err
	}
	result, err := client.Attach(ctx, id, o.streams())
	if err != nil {
		return 0, fmt.Errorf("attach to %s/%s: %w", o.Namespace, o.Pod, err)
	}
	return result.ExitCode, nil
}

func (o *ExecOptions) streams() shim.Streams {
	return shim.Streams{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Resize: o.Resize}
}

// lookTime is how long a command waits for the first look at a Pod that an earlier daemon left.
const lookTime = 5 * time.Second

// find is a Pod's worker. It waits until a Pod that an earlier daemon left running was found
// again, so that a command in the first moments of a new daemon is not told that nothing runs.
func (r *Runtime) find(ctx context.Context, namespace, pod string) (*worker, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for {
		unknown, changed := r.Settling()
		rec := r.view().Pod(namespace, pod)
		w := r.worker(rec)
		if rec == nil || !unknown[string(rec.UID)] || w != nil && w.shown.Load() != nil || ctx.Err() != nil {
			if w == nil {
				return nil, fmt.Errorf("pod %s/%s on this node: %w", namespace, pod, ErrNotFound)
			}
			return w, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// worker is that of a Pod, nil if there is none.
func (r *Runtime) worker(rec *state.Record) *worker {
	if rec == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.workers[rec.UID]
}

// runningContainer finds the shim that holds it.
func (r *Runtime) runningContainer(ctx context.Context, namespace, pod, container string) (podShim, string, error) {
	w, err := r.find(ctx, namespace, pod)
	if err != nil {
		return nil, "", err
	}
	s := w.shown.Load()
	if s == nil {
		return nil, "", fmt.Errorf("pod %s/%s: %w", namespace, pod, ErrNotRunning)
	}
	if container == "" {
		container = DefaultContainer(s.Pod)
	}
	c, ok := s.Containers[container]
	switch {
	case !ok:
		return nil, "", fmt.Errorf("container %s of pod %s/%s: %w", container, namespace, pod, ErrNotFound)
	case !c.Running:
		return nil, "", fmt.Errorf("container %s of pod %s/%s: %w", container, namespace, pod, ErrNotRunning)
	}
	return r.shims.Connect(w.paths.run), c.ID, nil
}

// DefaultContainer is the one that kubectl means when none is named.
func DefaultContainer(pod *corev1.Pod) string {
	if name := pod.Annotations["kubectl.kubernetes.io/default-container"]; name != "" {
		return name
	}
	if len(pod.Spec.Containers) == 0 {
		return ""
	}
	return pod.Spec.Containers[0].Name
}
