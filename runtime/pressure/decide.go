package pressure

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// LookEvery is how often a node is looked at while nothing is short: nothing tells of a disk that fills up.
	LookEvery = 10 * time.Second
	// goneWithin is how long the end of an evicted Pod is waited for before the next may go.
	goneWithin = 30 * time.Second
)

// Do is what a node is to do now.
type Do string

// What there is to do. After anything but Nothing the node is measured again at once.
const (
	Nothing Do = ""
	Reclaim Do = "reclaim" // Verdict.Take
	Measure Do = "measure" // what the Pods use, then ask again
	Evict   Do = "evict"   // Verdict.Evict
)

// Take is what nobody misses.
type Take string

// What is taken before a Pod has to go, in this order.
const (
	DeadContainers Take = "dead containers"
	OldLogs        Take = "old logs"
	UnusedImages   Take = "unused images"
)

// State is what a node remembers between two looks. The zero State has seen nothing.
type State struct {
	met     map[int]time.Time                      // since when a threshold is met, by its place in Config
	acting  []int                                  // those that were acted upon and are not over
	seen    map[corev1.NodeConditionType]time.Time // when a condition was last observed
	signal  Signal                                 // of the shortage that is being met
	tried   int                                    // how much of what can be taken was taken
	waiting types.UID                              // the Pod whose end is waited for
	until   time.Time
}

// Input is a node as it is now. Pods are those of which anything is left to end. Measured says that their
// Usage was looked at.
type Input struct {
	Now      time.Time
	Levels   Levels
	Pods     []Pod
	Measured bool
}

// Verdict is what follows from it.
type Verdict struct {
	State      State
	Conditions []corev1.NodeConditionType // that are true
	Do         Do
	Starved    corev1.ResourceName // what is short, while something is done about it
	Signal     Signal
	Began      bool // the shortage is met from now on: people are told
	Take       Take
	Evict      *Eviction
	Wake       time.Time // when to look again at the latest
}

// Decide says what a node does now. Neither its arguments nor the maps in them are modified.
func Decide(c *Config, s State, in Input) Verdict {
	now := in.Now
	s.met, s.acting = met(c, &s, in.Levels, now)
	s.seen = seen(c, &s, now)
	v := Verdict{Wake: now.Add(LookEvery)}
	for _, kind := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		if at, ok := s.seen[kind]; ok {
			v.Conditions = append(v.Conditions, kind)
			v.wake(at.Add(c.Transition))
		}
	}
	for i, since := range s.met {
		if over := since.Add(c.Thresholds[i].Grace); over.After(now) {
			v.wake(over)
		}
	}
	v.near(c, in.Levels, now)
	v.State = s
	v.act(c, in)
	return v
}

func (v *Verdict) wake(at time.Time) {
	if at.Before(v.Wake) {
		v.Wake = at
	}
}

// near looks more often while memory gets short: it can go within seconds.
func (v *Verdict) near(c *Config, l Levels, now time.Time) {
	for i := range c.Thresholds {
		t := &c.Thresholds[i]
		level, ok := l[t.Signal]
		if t.Signal != MemoryAvailable || !ok {
			continue
		}
		below := t.Below.of(level.Capacity)
		switch left := level.Available - below; {
		case left < below:
			v.wake(now.Add(time.Second))
		case left < 4*below:
			v.wake(now.Add(3 * time.Second))
		}
	}
}

// met gives since when each threshold is met, and those of them that are to be acted upon: their grace is
// over. One that was acted upon stays until its minimum is reclaimed.
func met(c *Config, s *State, l Levels, now time.Time) (since map[int]time.Time, acting []int) {
	since = map[int]time.Time{}
	for i := range c.Thresholds {
		t := &c.Thresholds[i]
		if !t.met(l, slices.Contains(s.acting, i)) {
			continue
		}
		at, before := s.met[i]
		if !before {
			at = now
		}
		since[i] = at
		if !now.Before(at.Add(t.Grace)) {
			acting = append(acting, i)
		}
	}
	return since, acting
}

// seen gives when each condition was last observed, without those that are over.
func seen(c *Config, s *State, now time.Time) map[corev1.NodeConditionType]time.Time {
	out := maps.Clone(s.seen)
	if out == nil {
		out = map[corev1.NodeConditionType]time.Time{}
	}
	maps.DeleteFunc(out, func(_ corev1.NodeConditionType, at time.Time) bool { return now.Sub(at) >= c.Transition })
	for i := range s.met {
		out[c.Thresholds[i].Signal.Condition()] = now
	}
	return out
}

// act says what is done about the first shortage.
func (v *Verdict) act(c *Config, in Input) {
	s := &v.State
	if s.waiting != "" {
		ends := slices.ContainsFunc(in.Pods, func(p Pod) bool { return p.Object.UID == s.waiting })
		if ends && in.Now.Before(s.until) {
			v.wake(s.until)
			return
		}
		s.waiting, s.until = "", time.Time{}
	}
	t := v.shortage(c)
	if t == nil {
		s.signal, s.tried = "", 0
		return
	}
	if s.signal != t.Signal {
		s.signal, s.tried = t.Signal, 0
	}
	v.Signal, v.Starved, v.Began = t.Signal, t.Signal.Resource(), s.tried == 0
	takes := Takes(c, t.Signal)
	if s.tried < len(takes) {
		v.Do, v.Take, v.Began = Reclaim, takes[s.tried], s.tried == 0
		s.tried++
		return
	}
	if !in.Measured {
		v.Do = Measure
		s.tried = max(s.tried, 1) // people are told once
		return
	}
	s.tried = 0
	v.Began = false
	if v.Evict = victim(c, t, in.Levels, Rank(c, t.Signal, in.Pods)); v.Evict != nil {
		v.Do, s.waiting, s.until = Evict, v.Evict.UID, in.Now.Add(goneWithin)
	}
}

// shortage is what is met first: memory before all else.
func (v *Verdict) shortage(c *Config) *Threshold {
	var best *Threshold
	for _, i := range v.State.acting {
		t := &c.Thresholds[i]
		if best == nil || slices.Index(order, t.Signal) < slices.Index(order, best.Signal) || t.Signal == best.Signal && t.hard() && !best.hard() {
			best = t
		}
	}
	return best
}

// Takes is what is taken before a Pod has to go for a signal.
func Takes(c *Config, s Signal) []Take {
	switch s {
	case NodeFsAvailable, NodeFsInodesFree:
		if c.ImageFs {
			return []Take{DeadContainers, OldLogs}
		}
	case ImageFsAvailable, ImageFsInodesFree:
		if c.ImageFs {
			return []Take{UnusedImages}
		}
	default:
		return nil
	}
	return []Take{DeadContainers, OldLogs, UnusedImages}
}
