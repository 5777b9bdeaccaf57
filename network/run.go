package network

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"writ/manifest"
	"writ/state"
)

// Feed is where the World comes from and where the node says what it has routed.
type Feed interface {
	World() *state.World
	// Since is what changed after a revision, up to World w; not ok: too long ago.
	Since(rev state.Revision) (changes []state.Change, w *state.World, ok bool)
	// Changed is closed once the World is past a revision.
	Changed(rev state.Revision) <-chan struct{}
	Propose(ctx context.Context, b state.Batch) (state.Revision, error)
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
	// linksDelay gathers notices about links: a pod that is detached causes several.
	linksDelay = 50 * time.Millisecond
	// flowsDelay gathers detached pods: looking for their flows means to read all that are tracked.
	flowsDelay = 2 * time.Second
)

// Run keeps the kernel as the World says until the context ends, and leaves it so then. It returns
// an error only if it cannot listen to the kernel.
func (n *Network) Run(ctx context.Context, feed Feed) error {
	n.feed.Store(&feed)
	watch, err := n.watch()
	if err != nil {
		return err
	}
	defer watch.close()
	l := loop{n: n, feed: feed, suspect: suspectLinks | suspectTable}
	delay := firstRetry
	for {
		err := l.step(ctx)
		n.setTrouble(cmp.Or(err, l.failed))
		switch {
		case err == nil && l.failed == nil:
			l.retry, delay = nil, firstRetry
		case err != nil && ctx.Err() == nil:
			n.log.Warn("network not as it should be", "err", err, "retry", delay)
			l.retry = time.After(delay)
			delay = min(2*delay, lastRetry)
		}
		for again := false; !again; {
			if again, err = l.wait(ctx, watch); err != nil || ctx.Err() != nil {
				return err
			}
		}
	}
}

// loop is what Run knows between its steps.
type loop struct {
	n       *Network
	feed    Feed
	rs      Ruleset        // what the kernel holds
	world   Ruleset        // what the World says: rs without what is held
	valid   bool           // the kernel holds rs, as far as it is known
	seen    state.Revision // revision of the World that rs was made of
	tried   state.Revision // revision of the World that was last taken
	suspect suspicion      // what the kernel may have lost
	wanted  state.Revision // newest deletion of a Pod here
	dirty   bool           // something was written that is not acknowledged yet
	failed  error          // what is not as it should be of links; retry looks at them again
	moved   []manifest.Ref // pods with host ports that got or lost their address since

	begun    bool            // the kernel was asked what an earlier daemon routed
	hold     *hold           // nil while nothing is held
	holdOver bool            // holdEnd has come
	settled  <-chan struct{} // closed when somebody has looked at another pod

	retry, links, flows, holdEnd <-chan time.Time // nil while nothing waits for them
}

// wait returns when something happened, and says whether it calls for a step.
func (l *loop) wait(ctx context.Context, w *watcher) (again bool, err error) {
	select {
	case <-ctx.Done():
		return false, nil
	case err := <-w.failed:
		return false, err
	case <-l.feed.Changed(l.tried):
	case <-l.retry:
		l.suspect |= suspectLinks | suspectTable
	case <-l.links:
		l.suspect, l.links = l.suspect|suspectLinks, nil
	case <-l.settled:
	case <-l.holdEnd:
		l.holdOver = true
	case <-l.flows:
		l.suspect, l.flows = l.suspect|pendingFlows, nil
	case <-l.n.wake:
		s := l.n.suspected()
		if s&suspectLinks != 0 && l.links == nil && l.retry == nil { // a retry looks too, and what failed may have caused the notice
			l.links = time.After(linksDelay)
		}
		if s&pendingFlows != 0 && l.flows == nil {
			l.flows = time.After(flowsDelay)
		}
		l.suspect |= s & suspectTable
		return s&(suspectTable|pendingPorts) != 0, nil
	}
	return true, nil
}

// step brings the kernel to the newest World. What failed is done again by the next step.
func (l *loop) step(ctx context.Context) error {
	l.moved = append(l.moved, l.n.takeMoved()...) // before the World, which may know them already
	changes, view := l.take()
	l.tried = view.Revision()
	if view.Adopted().Commit == "" {
		l.seen = view.Revision()
		return nil // nothing is routed before the ranges are known
	}
	world, deltas, err := l.compute(view, changes)
	if err != nil {
		return fmt.Errorf("compile services: %w", err)
	}
	if err := l.beginHold(); err != nil {
		return err
	}
	next, deltas := l.held(view, world, deltas)
	moved := next.Ranges != l.rs.Ranges
	if moved {
		if err := l.n.admit(next.Ranges); err != nil {
			return err
		}
	}
	var links error // what must not keep services from being routed
	if moved || l.suspect&suspectLinks != 0 {
		links = l.n.prepare(next.Ranges)
		if links != nil && moved {
			return links
		}
	}
	if !l.valid || moved || l.suspect&suspectTable != 0 {
		err = l.restore(next)
	} else if len(deltas) > 0 {
		err = l.apply(next, deltas)
	}
	if err != nil {
		return err
	}
	l.n.open(next.Ranges)
	l.rs, l.world, l.seen, l.valid, l.moved = next, world, view.Revision(), true, nil
	links = errors.Join(links, l.n.refit(view, changes))
	late := l.acknowledge(ctx, view)
	if l.suspect&suspectLinks != 0 {
		links = errors.Join(links, l.n.repairPods())
	}
	if l.suspect&pendingFlows != 0 {
		late = errors.Join(late, l.n.endReleased())
	}
	if links != nil || l.suspect&suspectLinks != 0 {
		l.failed = links
	}
	l.suspect = 0
	return errors.Join(links, late)
}

// take is the newest View with the changes that lead to it. Without changes to go by, changes is nil
// and the loop is marked to begin anew.
func (l *loop) take() ([]state.Change, state.View) {
	self := l.n.cfg.Node
	if l.valid {
		if changes, w, ok := l.feed.Since(l.seen); ok {
			return changes, state.Share(w, self)
		}
	}
	l.valid = false
	return nil, state.Share(l.feed.World(), self)
}

// compute is the ruleset of the View, and how it differs from that of the step before.
func (l *loop) compute(view state.View, changes []state.Change) (Ruleset, []Delta, error) {
	if !l.valid {
		for pod := range view.Pods() {
			l.note(pod)
		}
		next, err := Compile(view, l.n.addressOf)
		return next, nil, err
	}
	for i := range changes {
		if r := changes[i].New; r != nil && r.Ref.Kind == "Pod" && r.Node == view.Self() {
			l.note(r)
		}
	}
	return Update(l.world, view, changes, l.n.addressOf, l.moved...)
}

func (l *loop) note(pod *state.Record) {
	if pod.Deletion != nil {
		l.wanted = max(l.wanted, pod.Deletion.Revision)
	}
}

// apply writes deltas. If that fails nobody knows what the kernel holds.
func (l *loop) apply(next Ruleset, deltas []Delta) error {
	n := l.n
	n.tableMu.Lock()
	defer n.tableMu.Unlock()
	l.valid = false
	if err := n.table.apply(deltas); err != nil {
		return err
	}
	l.dirty = true
	return n.endFlows(staleOf(deltas))
}

// restore compares the whole table with the kernel and writes what differs.
func (l *loop) restore(next Ruleset) error {
	n := l.n
	deltas := Diff(l.rs, next)
	n.tableMu.Lock()
	defer n.tableMu.Unlock()
	for _, lease := range n.pool.leases() {
		n.table.reach = max(n.table.reach, reachFor(next.Ranges.Node, lease.IP))
	}
	wrote, err := n.table.set(next)
	if err != nil {
		l.valid = false
		return err
	}
	if wrote && l.valid && len(deltas) == 0 {
		n.log.Warn("table was not as it should be: restored")
	}
	l.dirty = l.dirty || wrote || !l.valid
	return n.endFlows(staleOf(deltas))
}

// admit says whether ranges can be used here. Those of a node do not change while it has pods.
func (n *Network) admit(r Ranges) error {
	if err := n.CheckRanges(r.Pods, r.Services); err != nil {
		return err
	}
	for _, l := range n.pool.leases() {
		if !r.Node.Contains(l.IP) {
			return fmt.Errorf("pod range of this node is %s, but pod %s/%s has %s: the range cannot be changed while pods run", r.Node, l.Namespace, l.Name, l.IP)
		}
	}
	return nil
}

// prepare sets up what all pods share. It is idempotent.
func (n *Network) prepare(r Ranges) error {
	if err := errors.Join(n.forward(), n.lookOutside()); err != nil {
		return err
	}
	return n.setDNSLink(r)
}

// open lets Attach begin.
func (n *Network) open(r Ranges) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ranges = r
	select {
	case <-n.ready:
	default:
		close(n.ready)
	}
}

// acknowledge says up to which revision the node routes: when something was written, and when a Pod
// of the node waits for it.
func (l *loop) acknowledge(ctx context.Context, view state.View) error {
	var routed state.Revision
	if node := view.Node(); node != nil {
		routed = node.Routed
	}
	if !l.dirty && l.wanted <= routed {
		return nil
	}
	_, err := l.feed.Propose(ctx, state.Batch{
		Writer: state.NodeWriter(view.Self()), Base: view.Revision(),
		Puts: []state.Put{{Ref: manifest.NodeRef(string(view.Self())), Routed: l.seen, Why: "services are routed"}},
	})
	if err != nil {
		return fmt.Errorf("tell what is routed: %w", err)
	}
	l.dirty, l.wanted = false, 0
	return nil
}

// endReleased ends what is still tracked of pods that are gone.
func (n *Network) endReleased() error {
	n.mu.Lock()
	list := n.released
	n.released = nil
	n.mu.Unlock()
	s := stale{addresses: map[netip.Addr]bool{}}
	for _, ip := range list {
		s.addresses[ip] = true
	}
	err := n.endFlows(s)
	if err != nil {
		n.mu.Lock()
		n.released = append(n.released, list...)
		n.mu.Unlock()
		n.suspect(pendingFlows)
	}
	return err
}
