package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/runtime/image"
	"writ/runtime/pressure"
	"writ/runtime/shim"
	"writ/state"
)

// fakeShims are shims without processes: a container runs until it is stopped or
// ended by the test. They outlive a Runtime, as the real ones do.
type fakeShims struct {
	mu   sync.Mutex
	pods map[string]*fakeShim
	fail map[string]error // by operation
	// upgrade answers the next upgrade; upgrades and ended count.
	upgrade         func() (string, error)
	upgrades, ended int
}

func (f *fakeShims) Launch(_ context.Context, dir string) (podShim, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail["launch"]; err != nil {
		return nil, err
	}
	s := f.pods[dir]
	if s == nil {
		s = &fakeShim{all: f, dir: dir, exits: map[string]chan struct{}{}, watchers: map[chan shim.Event]bool{}, dead: make(chan struct{})}
		f.pods[dir] = s
	}
	return s, nil
}

func (f *fakeShims) Connect(dir string) podShim {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pods[dir]
}

func (f *fakeShims) Upgrade(_ context.Context, dir string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.upgrades++
	if f.upgrade == nil {
		return "", nil
	}
	return f.upgrade()
}

// End replaces a shim that hangs by one that does not.
func (f *fakeShims) End(_ context.Context, dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended++
	f.pods[dir].mu.Lock()
	defer f.pods[dir].mu.Unlock()
	f.pods[dir].hung = false
	return nil
}

func (f *fakeShims) Destroy(_ context.Context, dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.pods[dir]; s != nil {
		s.end()
	}
	delete(f.pods, dir)
	return os.RemoveAll(dir)
}

// one is the only Pod's shim.
func (f *fakeShims) one(t testing.TB) *fakeShim {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.pods {
		return s
	}
	t.Fatal("there is no shim")
	return nil
}

type fakeShim struct {
	all        *fakeShims
	dir        string
	mu         sync.Mutex
	containers []shim.Container
	exits      map[string]chan struct{}
	watchers   map[chan shim.Event]bool
	record     []byte
	seq        uint64
	dead       chan struct{}
	starts     []string // "name attempt"
	stops      []string // "name grace"
	execs      []string
	requests   []shim.StartRequest
	updates    []string // "container cpu quota memory", the Pod's without a name
	usage      uint64   // of every container's memory
	deaf       bool     // containers end only when killed
	mute       bool     // the answer to the next start gets lost
	hung       bool     // it answers nothing
	silent     bool     // it tells no events
	stuck      error    // what a stop is answered with
	sticky     string   // the container that is not removed
	states     int      // how often it was asked for everything
	answer     chan int // exit codes of commands; nil: each is 0, at once
}

func (s *fakeShim) end() {
	select {
	case <-s.dead:
	default:
		close(s.dead)
	}
}

func (s *fakeShim) Sandbox(_ context.Context, b shim.Sandbox) (shim.SandboxState, error) {
	return shim.SandboxState{Sandbox: b}, nil
}

func (s *fakeShim) Start(_ context.Context, r shim.StartRequest) (shim.Container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	c := shim.Container{ID: r.ID, Name: r.Name, Attempt: r.Attempt, Labels: r.Labels, Status: shim.StatusRunning, PID: 1, CreatedAt: now, StartedAt: now, LogPath: r.Log.Path}
	s.starts = append(s.starts, fmt.Sprintf("%s %d", r.Name, r.Attempt))
	s.requests = append(s.requests, r)
	s.containers = append(s.containers, c)
	s.exits[c.ID] = make(chan struct{})
	s.tell(shim.EventStarted, c)
	if s.mute {
		s.mute = false
		return shim.Container{}, io.ErrUnexpectedEOF
	}
	return c, nil
}

// exit ends the newest run of a container.
func (s *fakeShim) exit(name string, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.containers) - 1; i >= 0; i-- {
		c := &s.containers[i]
		if c.Name != name || c.Status != shim.StatusRunning {
			continue
		}
		c.Status, c.ExitCode, c.FinishedAt, c.Reason = shim.StatusExited, code, time.Now(), shim.ReasonError
		if code == 0 {
			c.Reason = shim.ReasonCompleted
		}
		close(s.exits[c.ID])
		s.tell(shim.EventExited, *c)
		return
	}
}

func (s *fakeShim) tell(kind shim.EventKind, c shim.Container) {
	s.seq++
	if s.silent {
		return
	}
	for w := range s.watchers {
		w <- shim.Event{Seq: s.seq, Kind: kind, Time: time.Now(), Container: &c}
	}
}

func (s *fakeShim) StopWith(ctx context.Context, id string, grace time.Duration, _ string) (shim.Container, error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.containers, func(c shim.Container) bool { return c.ID == id })
	if i < 0 {
		s.mu.Unlock()
		return shim.Container{}, shim.Errorf(shim.CodeNotFound, "no container")
	}
	name, exited := s.containers[i].Name, s.exits[id]
	s.stops = append(s.stops, fmt.Sprintf("%s %v", name, grace.Round(time.Second)))
	deaf, stuck := s.deaf, s.stuck
	s.mu.Unlock()
	if stuck != nil {
		return shim.Container{}, stuck
	}
	if !deaf {
		s.exit(name, 143)
		return shim.Container{}, nil
	}
	select {
	case <-exited:
	case <-time.After(grace):
		s.exit(name, 137)
	case <-ctx.Done():
		return shim.Container{}, ctx.Err()
	}
	return shim.Container{}, nil
}

func (s *fakeShim) Remove(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		if c.ID == id && c.Name == s.sticky {
			return errors.New("it stays")
		}
	}
	s.containers = slices.DeleteFunc(s.containers, func(c shim.Container) bool { return c.ID == id })
	return nil
}

func (s *fakeShim) State(ctx context.Context) (shim.PodState, error) {
	s.mu.Lock()
	s.states++
	if s.hung {
		s.mu.Unlock()
		<-ctx.Done()
		return shim.PodState{}, ctx.Err()
	}
	defer s.mu.Unlock()
	return shim.PodState{Containers: slices.Clone(s.containers), Seq: s.seq}, nil
}

func (s *fakeShim) PutRecord(_ context.Context, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = data
	return os.WriteFile(shim.RecordPath(s.dir), data, 0o600)
}

func (s *fakeShim) Events(ctx context.Context, _ uint64, fn func(shim.Event) error) error {
	ch := make(chan shim.Event, 1000)
	s.mu.Lock()
	s.watchers[ch] = true
	for i := range s.containers { // what happened between State and now
		c := s.containers[i]
		ch <- shim.Event{Kind: shim.EventStarted, Container: &c}
	}
	s.mu.Unlock()
	defer func() { s.mu.Lock(); delete(s.watchers, ch); s.mu.Unlock() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.dead:
			return errors.New("the shim is gone")
		case e := <-ch:
			if err := fn(e); err != nil {
				return err
			}
		}
	}
}

func (s *fakeShim) Exec(ctx context.Context, r shim.ExecRequest, _ shim.Streams) (shim.ExecResult, error) {
	s.mu.Lock()
	s.execs = append(s.execs, strings.Join(r.Args, " "))
	answer := s.answer
	s.mu.Unlock()
	if answer == nil {
		return shim.ExecResult{}, nil
	}
	select {
	case code := <-answer:
		return shim.ExecResult{ExitCode: code}, nil
	case <-ctx.Done():
		return shim.ExecResult{}, ctx.Err()
	}
}

func (s *fakeShim) Attach(context.Context, string, shim.Streams) (shim.ExecResult, error) {
	return shim.ExecResult{}, nil
}

func (s *fakeShim) Shutdown(context.Context) error {
	s.end()
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	delete(s.all.pods, s.dir)
	return nil
}

func (s *fakeShim) said(list *[]string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(*list, ", ")
}

// fakeImages has every image but those that the test takes away.
type fakeImages struct {
	mu      sync.Mutex
	fail    map[string]error
	pulls   int
	asked   []image.Access
	list    []image.Listed
	used    []string
	slow    bool // a pull does not end before its ctx
	pulling int
}

func (f *fakeImages) Resolve(ref string) (image.Image, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail[ref] != nil {
		return image.Image{}, false
	}
	return image.Image{ID: "sha256:" + ref, Ref: ref, Config: v1.Config{Cmd: []string{"/run"}}}, true
}

func (f *fakeImages) Allowed(image.Image, string) bool { return true }

func (f *fakeImages) Ensure(ctx context.Context, ref string, _ corev1.PullPolicy, a image.Access) (image.Image, error) {
	f.mu.Lock()
	f.pulls++
	f.asked = append(f.asked, a)
	err := f.fail[ref]
	if f.slow {
		f.pulling++
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		f.pulling--
		err = ctx.Err()
	}
	f.mu.Unlock()
	if err != nil {
		return image.Image{}, err
	}
	img, _ := f.Resolve(ref)
	return img, nil
}

func (f *fakeImages) MountAs(_ image.Image, _, _, target string, _ image.As) error {
	return os.MkdirAll(target, 0o755)
}

func (f *fakeImages) List() []image.Listed {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

func (f *fakeImages) Use(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = append(f.used, id)
}

// Reclaim removes what may go in the order of the list.
func (f *fakeImages) Reclaim(q image.Reclaim) (out image.Reclaimed, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = slices.DeleteFunc(f.list, func(l image.Listed) bool {
		goes := q.Keep(&l) == "" && (q.Before.IsZero() || !l.Taken.After(q.Before)) && (q.Need <= 0 || out.Bytes < q.Need)
		if goes {
			out.Images, out.Bytes = append(out.Images, l), out.Bytes+l.Disk
		}
		return goes
	})
	return out, nil
}

type fakeNetwork struct {
	mu       sync.Mutex
	attached map[string]bool
	fail     error
}

func (f *fakeNetwork) Attach(_ context.Context, uid, _, _ string) (string, netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return "", netip.Addr{}, f.fail
	}
	f.attached[uid] = true
	return "/netns/" + uid, netip.MustParseAddr("10.0.0.7"), nil
}

func (f *fakeNetwork) Detach(_ context.Context, uid string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.attached, uid)
	return nil
}

// rig is a Runtime on fakes.
type rig struct {
	links  string
	levels sync.Map // what is left of a signal's 1000
	t      *testing.T
	world  *world
	shims  *fakeShims
	images *fakeImages
	net    *fakeNetwork
	dir    string
	r      *Runtime
	stop   func()
	mu     sync.Mutex
	events []string // reasons
	told   []string // "type reason: message"
}

const node = state.Node("n1")

func newRig(t *testing.T) *rig {
	g := &rig{t: t, world: newWorld(), shims: &fakeShims{pods: map[string]*fakeShim{}, fail: map[string]error{}},
		images: &fakeImages{fail: map[string]error{}}, net: &fakeNetwork{attached: map[string]bool{}}, dir: t.TempDir()}
	g.up()
	return g
}

func (g *rig) up() {
	g.t.Helper()
	g.open()
	g.run()
}

// open makes a Runtime that does not run yet.
func (g *rig) open() {
	g.t.Helper()
	r, err := New(Config{Node: node, DataDir: g.dir + "/data", RunDir: g.dir + "/run", LogDir: g.dir + "/logs", Shim: "/writ-shim", NodeIP: netip.MustParseAddr("192.0.2.1"), levels: g.level, LogLinks: g.links,
		Resources: ResourceConfig{Handlers: []RuntimeHandler{{Name: "crun", Path: "/usr/bin/crun", Root: "/run/crun"}}}},
		g.images, g.net, g.world, g.event, slog.New(slog.DiscardHandler))
	if err != nil {
		g.t.Fatal(err)
	}
	r.plugins = func(context.Context) error { return nil }
	r.shims, r.tmpfs = g.shims, func(dir string, _ int64) error { return os.MkdirAll(dir, 0o700) }
	g.r = r
}

func (g *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r := g.r
	go func() { done <- r.Run(ctx) }()
	g.stop = func() {
		cancel()
		if err := <-done; err != nil {
			g.t.Error(err)
		}
	}
}

func (g *rig) event(e state.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, e.Reason)
	g.told = append(g.told, e.Type+" "+e.Reason+": "+e.Message)
}

func (g *rig) count(reason string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, e := range g.events {
		if e == reason {
			n++
		}
	}
	return n
}

// level is what the node has left: half of it, but what a test says.
func (g *rig) level() (pressure.Levels, error) {
	out := pressure.Levels{}
	for _, s := range []pressure.Signal{pressure.MemoryAvailable, pressure.NodeFsAvailable, pressure.ImageFsAvailable} {
		out[s] = pressure.Level{Available: 500 << 30, Capacity: 1000 << 30}
		if n, ok := g.levels.Load(s); ok {
			out[s] = pressure.Level{Available: n.(int64), Capacity: 1000 << 30}
		}
	}
	return out, nil
}
