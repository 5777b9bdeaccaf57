package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"writ/runtime/shim"
)

// theater is a pod whose containers are records only. Its shim is killed and replaced as
// often as one likes: the next one reads what is on disk.
type theater struct {
	t      *testing.T
	dir    string
	random *rand.Rand

	mu      sync.Mutex
	pod     *pod
	stop    func()
	shims   uint64
	started int
	running []*container
	ended   []string
}

func newTheater(t *testing.T, seed uint64) *theater {
	dir, err := os.MkdirTemp("", "ev") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	th := &theater{t: t, dir: dir, random: rand.New(rand.NewPCG(seed, 1))}
	th.replace()
	t.Cleanup(func() { th.stop() })
	return th
}

// replace kills the shim and starts the next.
func (th *theater) replace() {
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.stop != nil {
		th.stop()
	}
	th.shims++
	p := newPod(th.dir, slog.New(slog.DiscardHandler), shim.Hello{Version: shim.Version, Incarnation: th.shims}, "boot")
	entries, err := os.ReadDir(p.paths.containers())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		th.t.Fatal(err)
	}
	th.running = nil
	for _, e := range entries {
		var state shim.Container
		if found, err := readJSON(p.state(e.Name()), &state); err != nil || !found {
			th.t.Fatal(found, err)
		}
		c := newContainer(p, state)
		p.containers[state.ID] = c
		if state.Status == shim.StatusRunning {
			th.running = append(th.running, c)
		} else {
			close(c.released)
		}
	}
	listener, err := listen(th.dir)
	if err != nil {
		th.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	s := &server{pod: p, log: p.log, listener: listener, shutdown: cancel}
	go func() { defer close(served); s.serve(ctx) }()
	th.pod, th.stop = p, func() { cancel(); <-served }
}

// act starts, ends or forgets a container.
func (th *theater) act(known func(id string) bool) {
	th.mu.Lock()
	defer th.mu.Unlock()
	switch n := th.random.IntN(10); {
	case n < 4 || len(th.running) == 0:
		th.started++
		id := fmt.Sprint("c", th.started)
		c := newContainer(th.pod, shim.Container{ID: id, Status: shim.StatusCreating, CreatedAt: time.Now()})
		if err := os.MkdirAll(th.pod.container(id), 0o700); err != nil {
			th.t.Error(err)
		}
		if err := th.pod.enrol(c); err != nil {
			th.t.Error(err)
		}
		th.pod.change(c, survivesKill, func(s *shim.Container) { s.Status = shim.StatusRunning })
		th.running = append(th.running, c)
	case n < 8:
		i := th.random.IntN(len(th.running))
		c := th.running[i]
		th.running = slices.Delete(th.running, i, i+1)
		oom := th.random.IntN(4) == 0
		th.pod.change(c, survivesKill, func(s *shim.Container) { s.Status, s.OOMKilled = shim.StatusExited, oom })
		close(c.released)
		th.ended = append(th.ended, c.id)
	default:
		for i, id := range th.ended {
			if known(id) { // the daemon forgets only what it knows the end of
				if err := th.pod.forget(id); err != nil {
					th.t.Error(err)
				}
				th.ended = slices.Delete(th.ended, i, i+1)
				return
			}
		}
	}
}

// audience is a daemon that counts what it is told.
type audience struct {
	mu    sync.Mutex
	told  map[string]int // "started c1" and how often
	last  uint64
	wrong []string
}

func (a *audience) take(e shim.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.Container == nil {
		return
	}
	if e.Seq <= a.last {
		a.wrong = append(a.wrong, fmt.Sprintf("%s of %s has number %d after %d", e.Kind, e.Container.ID, e.Seq, a.last))
	}
	a.last = e.Seq
	a.told[fmt.Sprint(e.Kind, " ", e.Container.ID)]++
	if e.Kind != shim.EventStarted && a.told["started "+e.Container.ID] == 0 {
		a.wrong = append(a.wrong, fmt.Sprintf("%s was told of %s before its start", e.Kind, e.Container.ID))
	}
}

func (a *audience) knows(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.told["exited "+id] > 0
}

// TestEvents_RandomCuts: however often the stream is cut or the shim is replaced, every start and every
// exit is told once, in order.
func TestEvents_RandomCuts(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			th := newTheater(t, seed)
			a := &audience{told: map[string]int{}}
			ctx, cancel := context.WithCancel(t.Context())
			var listening sync.WaitGroup
			listening.Go(func() { hear(ctx, th.dir, a, rand.New(rand.NewPCG(seed, 2))) })
			stalled := stall(t, th.dir)
			for range 400 {
				th.act(a.knows)
				if th.random.IntN(20) == 0 {
					th.replace()
				}
			}
			deadline := time.Now().Add(20 * time.Second)
			for !all(th, a) && time.Now().Before(deadline) {
				time.Sleep(time.Millisecond)
			}
			cancel()
			listening.Wait()
			stalled.Close()
			a.mu.Lock()
			defer a.mu.Unlock()
			for _, w := range a.wrong {
				t.Error(w)
			}
			for what, n := range a.told {
				if n != 1 {
					t.Errorf("%s was told %d times", what, n)
				}
			}
			if t.Failed() {
				return
			}
			if missing := lost(th, a); len(missing) > 0 {
				t.Errorf("never told: %v", missing)
			}
		})
	}
}

func all(th *theater, a *audience) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(lost(th, a)) == 0
}

// lost lists what was not told. The audience's lock is held.
func lost(th *theater, a *audience) []string {
	th.mu.Lock()
	defer th.mu.Unlock()
	var out []string
	for i := range th.started {
		if what := fmt.Sprint("started c", i+1); a.told[what] == 0 {
			out = append(out, what)
		}
	}
	for _, id := range th.ended {
		if what := "exited " + id; a.told[what] == 0 {
			out = append(out, what)
		}
	}
	return out
}

// hear is a daemon's loop: it hears events, is cut off, and goes on after the last that it took.
func hear(ctx context.Context, dir string, a *audience, random *rand.Rand) {
	errCut := errors.New("cut")
	after := uint64(0)
	for ctx.Err() == nil {
		left := random.IntN(12)
		_ = shim.New(dir).Events(ctx, after, func(e shim.Event) error {
			if left--; left < 0 {
				return errCut // before it is taken: it has to come again
			}
			a.take(e)
			after = max(after, e.Seq)
			return nil
		})
	}
}

// stall asks for events and never reads them. Nobody may be held up by it.
func stall(t *testing.T, dir string) net.Conn {
	conn, err := net.Dial("unix", shim.SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := shim.NewFrameWriter(conn).WriteJSON(shim.FrameMessage, shim.Request{Version: shim.Version, Op: shim.OpEvents, Body: []byte(`{"after":0}`)}); err != nil {
		t.Fatal(err)
	}
	return conn
}
