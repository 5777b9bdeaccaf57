package runtime

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/runtime/image"
	"writ/runtime/shim"
	"writ/state"
)

// Desired is what the World says of one Pod.
type Desired struct {
	Pod      *corev1.Pod // full, the runtime's own copy
	Deletion *state.Deletion
	// Gone: there is no record any more, so everything has to go. GoneAt is since when.
	Gone   bool
	GoneAt time.Time
	// Started is when the Pod was first seen by this node, nil before that.
	Started *metav1.Time
	// Routed is up to where the node's routing follows the World.
	Routed state.Revision
}

// Observed is what the node knows of one Pod. It belongs to the Pod's worker.
type Observed struct {
	Sandbox Attempt // shim, network namespace, cgroup, files
	Volumes Attempt
	// Refresh is when files of volumes are to be made anew: tokens end. Zero is never.
	Refresh time.Time
	// RecursiveReadOnly: the node can make a mount read-only with all below it.
	RecursiveReadOnly bool
	IP                netip.Addr

	Containers map[string]*Observation

	Reset Attempt // of all containers, to begin anew

	// OutOfService: routes are gone, or were waited for long enough.
	OutOfService bool
	OutAt        time.Time // since when
	// Failed: the node ended the Pod (DeadlineExceeded, Evicted).
	Failed *Failure
	// Resize is how far a change of the Pod's resources has come, nil before the first look.
	Resize *Resize
	// Left: nothing is left of an evicted Pod but its status.
	Left bool
	// Cleaned: nothing is left of the Pod.
	Cleaned bool
	Cleanup Attempt
}

// Attempt is something to be made that may fail and is tried again.
type Attempt struct {
	Done     bool
	Failures int
	Err      error
	Retry    time.Time
}

func (a *Attempt) due(now time.Time) bool { return !a.Done && !now.Before(a.Retry) }

func (a *Attempt) fail(err error, now time.Time) {
	a.Failures++
	a.Err, a.Retry = err, now.Add(retryDelay(a.Failures))
}

func (a *Attempt) succeed() { *a = Attempt{Done: true} }

// Failure is why the node ended a Pod.
type Failure struct {
	Reason, Message string
	// Until is when the last of its containers is killed; zero is after the grace of the Pod's own.
	Until time.Time
	// Leave says that nothing of it stays on this node but its status.
	Leave bool
}

// deadline is when what still runs is killed.
func (f *Failure) deadline(pod *corev1.Pod, now time.Time) time.Time {
	if f.Leave { // also if it began before this daemon did
		return f.Until
	}
	return now.Add(grace(pod))
}

// Observation is what is known of one container of a Pod.
type Observation struct {
	Run  *Run // the newest attempt, nil before the first
	Last *Run // the one before, ended
	// Attempts is how often it was started before this daemon knew of it: the
	// restart count that the next first Run continues.
	Attempts int

	Image Pull
	// HookFailure is what a failed postStart of the newest run said, for the status.
	HookFailure string
	// Create is why the container could not be made; the shim was not asked.
	Create       Attempt
	CreateReason string

	Hook   HookState // postStart of Run
	Ready  bool
	Passed bool // the startup probe, or there is none
	Judged bool // Ready is what a probe of this daemon says, not only what was told before
	// Devices are those of plugins that the container has.
	Devices []corev1.ResourceStatus
	// Anew: Run is ended so that the next has another image or other resources; no policy is asked.
	Anew bool
	// Unhealthy is why Run has to be ended and started again ("failed liveness probe").
	Unhealthy      string
	UnhealthyGrace *int64
	Kill           *Kill // the end of Run is in progress
}

// Run is one attempt to run a container.
type Run struct {
	shim.Container
	Message string // termination message, once ended
	// Past: it ended in an earlier life of the Pod, before a reboot or before all containers began anew. It counts
	// for restart policies, but init containers have to run again.
	Past bool
}

// What the shim keeps beside a container for its daemon.
const (
	labelImage   = "image"    // as written in the Pod when it was started
	labelImageID = "image-id" // digest of the configuration
	labelStatus  = "status-image-id"
	labelLevel   = "level" // of the restart back-off
	labelUser    = "user"  // whom it runs as
)

// unhealthyHook is Unhealthy of a container whose postStart failed, and the message of its end.
const unhealthyHook = "FailedPostStartHook"

// present says that there is a run, and in the Pod's present life.
func (r *Run) present() bool { return r != nil && !r.Past }

// done says that an init container did its work.
func (o *Observation) done() bool { return o.Run.Exited() && !o.Run.Past && o.Run.ExitCode == 0 }

// starting says that a container runs whose postStart has not ended.
func (o *Observation) starting() bool { return o.Run.Running() && o.Kill == nil && o.Hook != HookDone }

// Running says that its process runs.
func (r *Run) Running() bool { return r != nil && r.Status == shim.StatusRunning }

// Exited says that it has ended.
func (r *Run) Exited() bool { return r != nil && r.Status == shim.StatusExited }

// Kill is the end of a run in progress.
type Kill struct {
	Deadline time.Time
	Hooked   bool // preStop has ended, or there is none
	Asked    bool // the shim was told to send the signal, and SIGKILL at the deadline
}

// HookState is how far a postStart hook is.
type HookState int

// A hook that failed ends its container.
const (
	HookPending HookState = iota
	HookRunning
	HookDone
)

// Pull is an image of a container.
type Pull struct {
	Ref      string // as written
	Image    *image.Image
	Running  bool
	Failures int
	Reason   string // ErrImagePull, ErrImageNeverPull, InvalidImageName
	Message  string
	FailedAt time.Time
	Retry    time.Time
	Refused  bool // by the registry: other credentials may help
}

func (o *Observed) container(name string) *Observation {
	c := o.Containers[name]
	if c == nil {
		c = &Observation{}
		o.Containers[name] = c
	}
	return c
}

// begun says that a container of the Pod proper was ever started, so that its init
// containers are done.
func (o *Observed) begun(spec *corev1.PodSpec) bool {
	for i := range spec.Containers {
		if c := o.Containers[spec.Containers[i].Name]; c != nil && c.Run.present() {
			return true
		}
	}
	return false
}

func (o *Observed) anyRunning() bool {
	for _, c := range o.Containers {
		if c.Run.Running() {
			return true
		}
	}
	return false
}
