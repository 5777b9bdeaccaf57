package runtime

import (
	"context"
	"net/netip"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/image"
	"writ/runtime/shim"
	"writ/state"
)

// Feed is the World as it moves, and the way to state what was observed.
type Feed interface {
	World() *state.World
	Since(rev state.Revision) (changes []state.Change, w *state.World, ok bool)
	Changed(rev state.Revision) <-chan struct{}
	Propose(ctx context.Context, b state.Batch) (state.Revision, error)
}

// Network gives Pods their network namespace. Both calls may be repeated.
type Network interface {
	Attach(ctx context.Context, uid, namespace, name string) (netns string, ip netip.Addr, err error)
	Detach(ctx context.Context, uid string) error
}

// Images is the node's image store.
type Images interface {
	Resolve(reference string) (image.Image, bool)
	Allowed(img image.Image, namespace string) bool
	Ensure(ctx context.Context, reference string, policy corev1.PullPolicy, access image.Access) (image.Image, error)
	MountAs(img image.Image, upper, work, target string, as image.As) error
	// List gives what is there, Use notes that something wants an image, Reclaim makes room.
	List() []image.Listed
	Use(id string)
	Reclaim(q image.Reclaim) (image.Reclaimed, error)
}

// podShim is what holds the containers of one Pod; *shim.Client is one.
type podShim interface {
	Sandbox(ctx context.Context, s shim.Sandbox) (shim.SandboxState, error)
	Start(ctx context.Context, r shim.StartRequest) (shim.Container, error)
	StopWith(ctx context.Context, id string, grace time.Duration, signal string) (shim.Container, error)
	Remove(ctx context.Context, id string) error
	State(ctx context.Context) (shim.PodState, error)
	Stats(ctx context.Context) (shim.PodStats, error)
	Update(ctx context.Context, r shim.UpdateRequest) error
	PutRecord(ctx context.Context, data []byte) error
	Events(ctx context.Context, after uint64, fn func(shim.Event) error) error
	Exec(ctx context.Context, r shim.ExecRequest, s shim.Streams) (shim.ExecResult, error)
	Attach(ctx context.Context, id string, s shim.Streams) (shim.ExecResult, error)
	Shutdown(ctx context.Context) error
}

// shims starts and ends them.
type shims interface {
	// Launch connects to the shim of a directory, or starts one that takes over
	// what it finds there.
	Launch(ctx context.Context, dir string) (podShim, error)
	// Connect is the shim of a directory as it is; nothing is started.
	Connect(dir string) podShim
	// Upgrade makes the shim the program that Launch would start, and tells its
	// build; "" if it is that already.
	Upgrade(ctx context.Context, dir string) (build string, err error)
	// End ends the shim alone, also one that hangs; containers go on.
	End(ctx context.Context, dir string) error
	// Destroy ends the shim and everything it holds, and removes the directory.
	Destroy(ctx context.Context, dir string) error
}

// shimBinary is the real thing.
type shimBinary struct{ binary, cgroup string }

func (b shimBinary) Launch(ctx context.Context, dir string) (podShim, error) {
	c, err := shim.Launch(ctx, shim.LaunchConfig{Binary: b.binary, Dir: dir, Cgroup: b.cgroup, Cache: filtersPath(dir)})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// filtersPath is where the shims keep compiled seccomp profiles: beside the folder of the pods' directories.
func filtersPath(dir string) string {
	return filepath.Join(filepath.Dir(filepath.Dir(dir)), filtersName)
}

const filtersName = "seccomp"

func (b shimBinary) Connect(dir string) podShim { return shim.New(dir) }

func (b shimBinary) Upgrade(ctx context.Context, dir string) (build string, err error) {
	c := shim.New(dir)
	hello, err := c.Hello(ctx)
	if err != nil {
		return "", err
	}
	if same, err := hello.Runs(b.binary); err != nil || same {
		return "", err
	}
	hello, err = c.Upgrade(ctx, b.binary)
	return hello.Build, err
}

func (b shimBinary) End(ctx context.Context, dir string) error {
	return shim.End(ctx, b.binary, dir)
}

func (b shimBinary) Destroy(ctx context.Context, dir string) error {
	return shim.Destroy(ctx, b.binary, dir)
}
