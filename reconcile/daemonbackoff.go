package reconcile

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// How long a daemon that failed stays before it is replaced: upstream's back-off, by node and generation. It is kept
// with the Pod that took the place of the one before, so that a restart knows it.

const (
	firstRest = time.Second
	mostRest  = 15 * time.Minute
)

// restAnnotation is computed for a Pod that took the place of a failed one: the seconds that it rests if it fails
// too, since when, and for which generation of its owner.
const restAnnotation = "writ.dev/daemon-backoff"

// rest is the back-off of one node.
type rest struct {
	delay time.Duration
	since time.Time
}

// restOf is the back-off that a Pod was made with, zero if there is none for the DaemonSet as it is now.
func (x *daemonSet) restOf(p *state.Record) rest {
	words := strings.Fields(p.Annotations[restAnnotation])
	if len(words) != 3 || words[2] != strconv.FormatInt(x.d.generation(x.r), 10) {
		return rest{}
	}
	seconds, err := strconv.Atoi(words[0])
	since, err2 := time.Parse(time.RFC3339Nano, words[1])
	if err != nil || err2 != nil || x.d.now.Sub(since) > 2*mostRest {
		return rest{}
	}
	return rest{time.Duration(seconds) * time.Second, since}
}

// rests says that a failed Pod is not replaced yet.
func (x *daemonSet) rests(p *state.Record) bool {
	r := x.restOf(p)
	at := r.since.Add(r.delay)
	if r.delay == 0 || !at.After(x.d.now) {
		return false
	}
	x.d.later(at)
	return true
}

// patience is the annotation of a Pod that takes the place of a failed one, nil for others.
func (x *daemonSet) patience(n *daemonNode) map[string]string {
	var last *state.Record
	for p := range x.d.w.Owned(x.r.UID) {
		if p.Ref.Kind != "Pod" || p.PodStatus().Phase != corev1.PodFailed || p.Deletion == nil || daemonOf(p) != n.name {
			continue
		}
		if last == nil || p.Deletion.At.After(last.Deletion.At) || p.Deletion.At.Equal(last.Deletion.At) && p.Ref.Name > last.Ref.Name {
			last = p
		}
	}
	if last == nil {
		return nil
	}
	delay := firstRest
	if before := x.restOf(last); before.delay > 0 {
		delay = min(2*before.delay, mostRest)
	}
	return map[string]string{restAnnotation: fmt.Sprintf("%d %s %d", int(delay/time.Second), last.Deletion.At.UTC().Format(time.RFC3339Nano), x.d.generation(x.r))}
}
