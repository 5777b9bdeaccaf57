package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/shim"
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

func (o *ExecOptions) streams() shim.Streams {
	return shim.Streams{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Resize: o.Resize}
}

func (r *Runtime) find(namespace, pod string) (*worker, error) {
	if rec := r.view().Pod(namespace, pod); rec != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if w := r.workers[rec.UID]; w != nil {
			return w, nil
		}
	}
	return nil, fmt.Errorf("pod %s/%s on this node: %w", namespace, pod, ErrNotFound)
}

// lookTime is how long a command waits for the first look at a Pod that an earlier daemon left.
const lookTime = 5 * time.Second

// lookedAt waits until a Pod that an earlier daemon left running was found again, so that a
// command in the first moments of a new daemon is not told that nothing runs.
func (r *Runtime) lookedAt(ctx context.Context, namespace, pod string) {
	rec := r.view().Pod(namespace, pod)
	if rec == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	for {
		pods, changed := r.Settling()
		if w, err := r.find(namespace, pod); !pods[string(rec.UID)] || err == nil && w.shown.Load() != nil {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// runningContainer finds the shim that holds it.
func (r *Runtime) runningContainer(ctx context.Context, namespace, pod, container string) (podShim, string, error) {
	r.lookedAt(ctx, namespace, pod)
	w, err := r.find(namespace, pod)
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
