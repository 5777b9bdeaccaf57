package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/runtime/oci"
	"writ/runtime/pressure"
	"writ/runtime/token"
	"writ/runtime/volume"
	"writ/state"
)

// worker looks after one Pod. One goroutine owns all fields below the line; others
// hand it work through post.
type worker struct {
	r     *Runtime
	ref   manifest.Ref
	uid   types.UID
	paths podPaths

	mu     sync.Mutex
	queue  []func()
	bell   chan struct{}
	done   chan struct{}
	shown  atomic.Pointer[Snapshot]
	listed time.Time // when the shim was last asked for everything; the Runtime's relist owns it
	// ending is true once the Pod is to go, so that changes of routing wake it.
	ending atomic.Bool
	// leaving is how far an evicted Pod is on its way out; limited, that it may use only so much of the disk.
	leaving atomic.Int32
	limited bool
	inits   []string // its init containers

	// ---
	ctx      context.Context // of the daemon; steps end with it, containers do not
	tasks    sync.WaitGroup
	record   *state.Record // the newest, also after it is gone
	desired  Desired
	o        Observed
	shim     podShim
	handler  string                        // the program that runs the containers, empty for the one that is built in
	seq      uint64                        // of the newest shim event
	mute     int                           // how often in a row the shim did not answer a relist
	probes   map[string]context.CancelFunc // by container, of its present run
	lives    map[string]context.CancelFunc // of those that end the container: liveness and startup
	hooks    map[string]context.CancelFunc
	pulls    map[string]context.CancelFunc
	stops    map[string]context.CancelFunc
	backoffs map[string]string // container ID whose back-off was told
	put      *corev1.Pod       // as in the shim's record
	reported *corev1.PodStatus
	sent     bool // reported was handed over since this daemon runs
	settled  bool // what was found of the Pod at the start is known, and told
	stale    bool // what volumes are made of may have changed
	tokens   map[tokenKey]token.Token
	awaited  map[<-chan struct{}][]*Attempt // what is tried again when the channel is closed
}

// Snapshot is a Pod as others of this process may see it.
type Snapshot struct {
	Pod        *corev1.Pod
	Status     *corev1.PodStatus
	Containers map[string]ContainerSnapshot

	next chan struct{} // closed when there is a newer one
}

// ContainerSnapshot names the attempts whose logs are there.
type ContainerSnapshot struct {
	ID, ImageID, LogPath, PreviousLogPath string
	NextImageID                           string // of the run that follows; it may be another
	Running                               bool
}

func newWorker(r *Runtime, rec *state.Record) *worker {
	w := &worker{
		r: r, ref: rec.Ref, uid: rec.UID, paths: r.cfg.pod(rec.Ref.Namespace, rec.Ref.Name, rec.UID),
		bell: make(chan struct{}, 1), done: make(chan struct{}),
		record: rec, o: Observed{Containers: map[string]*Observation{}, RecursiveReadOnly: volume.KernelMakesRecursive()},
		probes: map[string]context.CancelFunc{}, lives: map[string]context.CancelFunc{}, hooks: map[string]context.CancelFunc{},
		pulls: map[string]context.CancelFunc{}, stops: map[string]context.CancelFunc{},
		backoffs: map[string]string{}, awaited: map[<-chan struct{}][]*Attempt{},
	}
	if pod := rec.Pod(); pod != nil {
		w.limited = pressure.Limited(pod)
		for i := range pod.Spec.InitContainers {
			w.inits = append(w.inits, pod.Spec.InitContainers[i].Name)
		}
	}
	return w
}

// ring wakes the worker: something may have changed.
func (w *worker) ring() {
	select {
	case w.bell <- struct{}{}:
	default:
	}
}

// post runs f in the worker, soon.
func (w *worker) post(f func()) {
	w.mu.Lock()
	w.queue = append(w.queue, f)
	w.mu.Unlock()
	w.ring()
}

func (w *worker) drain() {
	w.mu.Lock()
	queue := w.queue
	w.queue = nil
	w.mu.Unlock()
	for _, f := range queue {
		f()
	}
}

// update hands over a new record, nil when it is gone.
func (w *worker) update(rec *state.Record) {
	if rec == nil || rec.Deletion != nil {
		w.ending.Store(true)
	}
	w.post(func() {
		if rec == nil {
			if !w.desired.Gone {
				w.desired.Gone, w.desired.GoneAt = true, time.Now()
			}
			return
		}
		if rec.Object != w.record.Object {
			w.stale = true
		}
		w.record = rec
	})
}

// refresh says that a ConfigMap or Secret of the Pod changed.
func (w *worker) refresh() {
	w.post(func() {
		w.stale = true
		w.o.Volumes.Retry = time.Time{}
		for _, c := range w.o.Containers {
			c.Create.Retry = time.Time{}
		}
	})
}

// run is the worker's loop; it returns when nothing is left of the Pod or ctx ends.
func (w *worker) run(ctx context.Context) {
	defer close(w.done)
	ctx, cancel := context.WithCancel(ctx)
	defer func() { cancel(); w.tasks.Wait() }()
	w.ctx = ctx
	w.begin()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		w.drain()
		plan := w.round()
		if w.o.Cleaned && w.told() {
			return
		}
		if !plan.Wake.IsZero() {
			timer.Reset(max(time.Until(plan.Wake), 0))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-w.bell:
		case <-timer.C:
		}
	}
}

// told says that the end of the Pod is known to whom it matters.
func (w *worker) told() bool { return w.desired.Gone || w.r.closing.Load() }

// round does what is to be done until there is nothing more to do now.
func (w *worker) round() Plan {
	for {
		w.drain()
		w.look()
		plan := Steps(&w.desired, &w.o, time.Now())
		for _, s := range plan.Steps {
			if w.ctx.Err() != nil {
				return Plan{}
			}
			w.do(s)
		}
		if !plan.silent() {
			w.watch()
			w.publish()
		}
		if len(plan.Steps) == 0 {
			return plan
		}
	}
}

// look takes what the World says now.
func (w *worker) look() {
	if w.r.closing.Load() && !w.desired.Gone {
		w.desired.Gone, w.desired.GoneAt = true, time.Now()
	}
	rec := w.record
	if d := w.desired.Pod; d == nil || w.stale || w.desired.Deletion != rec.Deletion || w.o.Resize.waits(time.Now()) {
		w.desired.Pod = w.allot(w.full())
	}
	w.desired.Deletion = rec.Deletion
	if n := w.r.view().Node(); n != nil {
		w.desired.Routed = n.Routed
	}
	if at := w.o.Refresh; !at.IsZero() && !time.Now().Before(at) {
		w.stale = true
	}
	if w.stale && w.o.Volumes.Done && !w.desired.Gone && rec.Deletion == nil {
		w.updateVolumes()
	}
	w.stale = false
	w.keepRecord()
}

// full is the Pod with what the node adds to it.
func (w *worker) full() *corev1.Pod {
	pod, _ := w.record.Full().(*corev1.Pod)
	pod.Status = corev1.PodStatus{}
	return pod
}

func (w *worker) do(s Step) {
	c := w.spec(s.Container)
	switch s.Do {
	case ActPrepare:
		if w.over() {
			w.o.Sandbox.succeed()
		} else {
			w.prepare()
		}
		if w.o.Sandbox.Done {
			w.recall()
		}
	case ActVolumes:
		w.volumes()
	case ActPull:
		w.pull(c)
	case ActStart:
		w.start(c, s.Level)
	case ActHook:
		w.hook(c)
	case ActStop:
		w.stop(c, s)
	case ActSignal:
		w.signal(c, s)
	case ActReset:
		w.reset()
	case ActOut:
		w.o.OutOfService, w.o.OutAt = true, time.Now()
	case ActFail:
		w.o.Failed = &Failure{Reason: "DeadlineExceeded", Message: "Pod was active on the node longer than the specified deadline"}
		w.event(corev1.EventTypeNormal, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
	case ActResize:
		w.resize()
	case ActLeave:
		w.leave()
	case ActClean:
		w.clean()
	}
}

// spec is a container of the Pod by name, nil if there is none.
func (w *worker) spec(name string) *corev1.Container {
	if volume, ok := strings.CutPrefix(name, volumePrefix); ok {
		return imageOfVolume(&w.desired.Pod.Spec, volume)
	}
	return oci.Container(&w.desired.Pod.Spec, name)
}

// task runs f beside the worker; the worker ends only after it.
func (w *worker) task(f func()) {
	w.tasks.Add(1)
	go func() {
		defer w.tasks.Done()
		f()
	}()
}

func (w *worker) event(kind, reason, format string, args ...any) {
	w.tell("", kind, reason, fmt.Sprintf(format, args...))
}

// about is an event of one container, also of what runs beside the worker. The image of a volume is the Pod's.
func (w *worker) about(c *corev1.Container, kind, reason, format string, args ...any) {
	field := "spec.containers{" + c.Name + "}"
	switch {
	case strings.HasPrefix(c.Name, volumePrefix):
		field = ""
	case slices.Contains(w.inits, c.Name):
		field = "spec.initContainers{" + c.Name + "}"
	}
	w.tell(field, kind, reason, fmt.Sprintf(format, args...))
}

func (w *worker) tell(field, kind, reason, message string) {
	now := time.Now()
	w.r.record(state.Event{
		Ref: w.ref, UID: w.uid, Field: field, Type: kind, Reason: reason, Message: message,
		Component: "kubelet", Count: 1, First: now, Last: now,
	})
}

func (w *worker) facts() *oci.Facts {
	view := w.r.view()
	ns, pod := w.ref.Namespace, w.desired.Pod
	f := &oci.Facts{
		Pod: pod, HostIPs: []string{w.r.cfg.NodeIP.String()}, Machine: w.r.machine,
		ConfigMap: func(name string) *corev1.ConfigMap { return view.ConfigMapFor(pod, name) },
		Secret:    func(name string) *corev1.Secret { return view.SecretFor(pod, name) },
		EnvFile: func(name, path, key string) (string, error) {
			return w.volumeSet().EnvValue(w.ctx, w.desired.Pod, name, path, key)
		},
		Allocatable: w.r.allocatable(),
	}
	if w.o.IP.IsValid() {
		f.PodIPs = []string{w.o.IP.String()}
	}
	f.Services = services(view, ns)
	return f
}

// services are those that a Pod of the namespace may be told about.
func services(view state.View, ns string) []*corev1.Service {
	var out []*corev1.Service
	add := func(rec *state.Record) {
		if rec == nil || rec.Deletion != nil {
			return
		}
		if s, ok := rec.Full().(*corev1.Service); ok {
			out = append(out, s)
		}
	}
	for rec := range view.Services(ns) {
		add(rec)
	}
	if ns != corev1.NamespaceDefault {
		add(view.Service(corev1.NamespaceDefault, "kubernetes"))
	}
	return out
}

func (w *worker) volumeSet() *volume.Set {
	return &volume.Set{Dir: w.paths.volumes(), Folders: w.r.folders(), Claim: w.source, Own: w.r.own(), Calls: &w.r.calls, Token: w.token, Image: w.mountImage}
}
