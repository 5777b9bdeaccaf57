package supervisor

import (
	"cmp"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"writ/runtime/shim"
	"writ/runtime/shim/confine"
)

// pod is all that one supervisor holds.
type pod struct {
	paths
	log    *slog.Logger
	hello  shim.Hello
	bootID string
	host   host
	reaper *reaper
	tidier tidier
	// filters are the node's compiled seccomp profiles.
	filters confine.Cache
	// entered waits until the shim is in its own cgroup.
	entered func() error

	// mu guards what follows and the state of every container. It is held
	// while an event is numbered, written and told, so that a reader that has
	// seen a number has seen all before it.
	mu         sync.Mutex
	sandbox    *shim.SandboxState
	pause      identity // process 1 of the pid namespace that the containers share
	containers map[string]*container
	seq        uint64
	changed    chan struct{} // closed and replaced when seq grows
	closing    bool          // Shutdown was granted

	pausing sync.Mutex // one at a time looks after process 1; pod.mu is taken while it is held

	work sync.WaitGroup // goroutines of containers

	// still is held for reading by what a kill would tear: a start, an exec or
	// attach, the end of a container. Whoever holds it alone may become another
	// program.
	still  sync.RWMutex
	hung   atomic.Int64 // system calls that were given up and have not returned
	handed *handover    // what the program before left, nil without one
}

// seqBits is how many events an incarnation can number. The incarnation is
// above them, so numbers grow over a replaced shim whatever it had told.
const seqBits = 32

func newPod(dir string, log *slog.Logger, hello shim.Hello, bootID string) *pod {
	return &pod{
		paths:      paths{dir},
		log:        log,
		hello:      hello,
		bootID:     bootID,
		host:       inspectHost(),
		reaper:     newReaper(log),
		containers: map[string]*container{},
		seq:        hello.Incarnation << seqBits,
		changed:    make(chan struct{}),
	}
}

// get returns a container that is known.
func (p *pod) get(id string) (*container, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.containers[id]
	if !ok {
		return nil, shim.Errorf(shim.CodeNotFound, "container %q is not in this pod", id)
	}
	return c, nil
}

// use returns a running container, whose handles stay valid until done is called.
func (p *pod) use(id string) (c *container, done func(), err error) {
	if c, err = p.get(id); err != nil {
		return nil, nil, err
	}
	done, err = c.use()
	return c, done, err
}

// change alters the state of a container, durably before anybody sees it. A
// record that cannot be written is logged and told all the same: the kernel
// still knows how the process ended, and hiding an exit would stop the pod.
func (p *pod) change(c *container, d durability, edit func(*shim.Container)) shim.Container {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.state.Status == shim.StatusExited {
		return c.state // what comes later comes too late
	}
	next := c.state
	edit(&next)
	events := 0
	if next.Status != c.state.Status && next.Status != shim.StatusCreating {
		events = 1
		if next.OOMKilled {
			events = 2 // EventOOM has the number before EventExited
		}
	}
	seq := p.seq + uint64(events)
	switch {
	case events == 0:
	case next.Status == shim.StatusRunning:
		next.StartedSeq = seq
	case next.Status == shim.StatusExited:
		next.ExitedSeq = seq
	}
	if err := writeJSON(p.state(c.id), next, d); err != nil {
		p.log.Error("container record cannot be written", "container", c.id, "err", err)
	}
	c.state = next
	if events > 0 {
		p.seq = seq
		p.tell()
	}
	if next.Status == shim.StatusExited && c.ended != nil {
		close(c.ended)
		c.ended = nil
	}
	return next
}

// tell wakes everybody who waits for a change. The lock is held.
func (p *pod) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// snapshot is what OpState answers.
func (p *pod) snapshot() shim.PodState {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := shim.PodState{Sandbox: p.sandbox, Seq: p.seq, Containers: []shim.Container{}}
	for _, c := range p.containers {
		out.Containers = append(out.Containers, c.view())
	}
	slices.SortFunc(out.Containers, func(a, b shim.Container) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// eventsAfter returns the events after a number in order, the newest number,
// and a channel that is closed when there are more.
func (p *pod) eventsAfter(after uint64) ([]shim.Event, uint64, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []shim.Event
	add := func(seq uint64, kind shim.EventKind, at time.Time, c *shim.Container) {
		if seq > after {
			out = append(out, shim.Event{Seq: seq, Kind: kind, Time: at, Container: c})
		}
	}
	for _, c := range p.containers {
		state := c.view()
		if state.StartedSeq > 0 {
			add(state.StartedSeq, shim.EventStarted, state.StartedAt, &state)
		}
		if state.ExitedSeq > 0 {
			if state.OOMKilled {
				add(state.ExitedSeq-1, shim.EventOOM, state.FinishedAt, &state)
			}
			add(state.ExitedSeq, shim.EventExited, state.FinishedAt, &state)
		}
	}
	slices.SortFunc(out, func(a, b shim.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return out, p.seq, p.changed
}

// forget removes an exited container.
func (p *pod) forget(id string) error {
	p.mu.Lock()
	c, ok := p.containers[id]
	if ok && c.state.Status != shim.StatusExited {
		status := c.state.Status
		p.mu.Unlock()
		return shim.Errorf(shim.CodeConflict, "container %q is %s: stop it before you remove it", id, status)
	}
	p.mu.Unlock()
	if !ok {
		return nil
	}
	select {
	case <-c.released: // its cgroup and mounts are gone
	case <-time.After(givenUpLimit):
		return shim.Errorf(shim.CodeConflict, "container %q is still being taken away", id)
	}
	if err := os.RemoveAll(p.container(id)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.containers, id)
	return nil
}
