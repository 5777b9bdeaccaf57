package guard

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/pressure"
)

// Node is what a Guard looks at. Its calls may hang where a disk does.
type Node interface {
	// Levels are the node's own.
	Levels() (pressure.Levels, error)
	// Pods are those that are not gone, without their usage. Those that were evicted are Ending until nothing is
	// left of them on disk.
	Pods() []pressure.Pod
	// Limited are those of Pods that may use only so much of the disk and run.
	Limited() []*corev1.Pod
	// Usage measures one Pod, gently or as fast as it can. Disk says that its files are looked at, too.
	Usage(ctx context.Context, pod *corev1.Pod, disk, gently bool) (*pressure.Usage, error)
}

// Hands is what a Guard has done.
type Hands interface {
	// Take takes what nobody misses.
	Take(ctx context.Context, t pressure.Take) error
	// Evict begins to end a Pod; it does not wait.
	Evict(e *pressure.Eviction)
	// Starved tells people that a resource is short and that something is done about it.
	Starved(name corev1.ResourceName)
}

// Stalls tells of stalls for memory until ctx ends.
type Stalls func(ctx context.Context, tell func()) error

// Guard looks after one node.
type Guard struct {
	cfg   pressure.Config
	node  Node
	hands Hands
	stall Stalls
	log   *slog.Logger
	bell  chan struct{}
	told  func() // the conditions changed
	scans scans
	calls calls

	mu         sync.Mutex
	conditions []corev1.NodeConditionType
}

// New makes a Guard. stall is nil where nothing tells of stalls; changed is called, from Run, when Conditions
// gives another answer than before.
func New(cfg pressure.Config, node Node, hands Hands, stall Stalls, changed func(), log *slog.Logger) *Guard {
	return &Guard{cfg: cfg, node: node, hands: hands, stall: stall, told: changed, log: log, bell: make(chan struct{}, 1),
		scans: scans{pods: map[string]*scan{}}, calls: calls{out: map[string]bool{}}}
}

// Conditions are those of the node that are true.
func (g *Guard) Conditions() []corev1.NodeConditionType {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.conditions)
}

// Ring says that something changed that may end a shortage: a Pod has ended.
func (g *Guard) Ring() {
	select {
	case g.bell <- struct{}{}:
	default:
	}
}

// Run guards until ctx ends. It waits for nothing that hangs.
func (g *Guard) Run(ctx context.Context) {
	var helpers sync.WaitGroup
	defer helpers.Wait()
	if g.stall != nil {
		helpers.Add(1)
		go func() {
			defer helpers.Done()
			if err := g.stall(ctx, g.Ring); err != nil && ctx.Err() == nil {
				g.log.Debug("the kernel does not tell of stalls for memory", "err", err)
			}
		}()
	}
	var s pressure.State
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var wake time.Time
		s, wake = g.round(ctx, s)
		g.scan(ctx)
		timer.Reset(time.Until(wake))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-g.bell:
		}
	}
}

// round does what there is to do until there is nothing more to do now.
func (g *Guard) round(ctx context.Context, s pressure.State) (pressure.State, time.Time) {
	measured := false
	var pods []pressure.Pod
	for ctx.Err() == nil {
		levels, err := within(ctx, &g.calls, "levels", patience, g.node.Levels)
		if err != nil {
			if ctx.Err() == nil {
				g.log.Warn("node is not measured", "err", err)
			}
			return s, time.Now().Add(pressure.LookEvery)
		}
		if !measured {
			pods = g.node.Pods()
		}
		v := pressure.Decide(&g.cfg, s, pressure.Input{Now: time.Now(), Levels: levels, Pods: pods, Measured: measured})
		s, measured = v.State, false
		g.state(v.Conditions)
		if v.Began {
			g.log.Warn("the node is short of a resource", "resource", string(v.Starved), "signal", string(v.Signal))
			g.hands.Starved(v.Starved)
		}
		switch v.Do {
		case pressure.Reclaim:
			_, err := within(ctx, &g.calls, "take", reclaimPatience, func() (struct{}, error) {
				limited, cancel := context.WithTimeout(ctx, reclaimPatience)
				defer cancel()
				return struct{}{}, g.hands.Take(limited, v.Take)
			})
			if err != nil && ctx.Err() == nil {
				g.log.Warn("nothing is reclaimed", "what", string(v.Take), "err", err)
			}
		case pressure.Measure:
			pods, measured = g.measure(ctx, pods, v.Starved), true
		case pressure.Evict:
			g.log.Warn("a pod is evicted", "uid", string(v.Evict.UID), "resource", string(v.Starved), "why", v.Evict.Message)
			g.hands.Evict(v.Evict)
		default:
			return s, v.Wake
		}
	}
	return s, time.Now().Add(pressure.LookEvery)
}

// state keeps the conditions and tells of a change.
func (g *Guard) state(now []corev1.NodeConditionType) {
	g.mu.Lock()
	changed := !slices.Equal(g.conditions, now)
	g.conditions = now
	g.mu.Unlock()
	if changed {
		g.told()
	}
}

// measure is what every Pod uses of what is short. All of them together get so long; one that is not
// measured by then has no Usage.
func (g *Guard) measure(ctx context.Context, pods []pressure.Pod, name corev1.ResourceName) []pressure.Pod {
	disk := name == corev1.ResourceEphemeralStorage || name == pressure.Inodes
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out := slices.Clone(pods)
	for i := range out {
		if out[i].Ending {
			continue
		}
		u, err := within(ctx, &g.calls, string(out[i].Object.UID), patience, func() (*pressure.Usage, error) {
			return g.node.Usage(ctx, out[i].Object, disk, false)
		})
		if err != nil {
			g.log.Debug("pod is not measured", "pod", out[i].Object.Namespace+"/"+out[i].Object.Name, "err", err)
			continue
		}
		out[i].Usage = u
	}
	return out
}
