package reconcile

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// ranking orders Pods by how little they would be missed, as upstream's ActivePodsWithRanks.
type ranking struct {
	d      *draft
	beside map[state.Node]int // ready replicas of the same owner on a node
}

// ranking counts the Pods of all ReplicaSets of the same Deployment, as upstream's related Pods.
func (d *draft) ranking(r *state.Record, own []*state.Record) ranking {
	k := ranking{d: d, beside: map[state.Node]int{}}
	count := func(p *state.Record) {
		if p.Ref.Kind == "Pod" && p.Node != "" && active(p) && podReady(p) {
			k.beside[p.Node]++
		}
	}
	owner := controller(d.w, r)
	if owner == nil {
		for _, p := range own {
			count(p)
		}
		return k
	}
	for rs := range d.w.Owned(owner.UID) {
		for p := range d.w.Owned(rs.UID) {
			count(p)
		}
	}
	return k
}

// compare puts first what goes first.
func (k ranking) compare(a, b *state.Record) int {
	s, t := a.PodStatus(), b.PodStatus()
	if c := cmp.Or(
		whether(standsAuthored(a), standsAuthored(b)),
		whether(!replaced(a), !replaced(b)),
		whether(a.Node != "", b.Node != ""),
		cmp.Compare(phaseRank(s.Phase), phaseRank(t.Phase)),
		whether(podReady(a), podReady(b)),
		cmp.Compare(deletionCost(a), deletionCost(b)),
		cmp.Compare(k.beside[b.Node], k.beside[a.Node]),
	); c != 0 {
		return c
	}
	if podReady(a) && podReady(b) {
		x, y := readyTime(a), readyTime(b)
		if !x.Equal(y) {
			return k.younger(a, b, x, y)
		}
	}
	if c := cmp.Compare(restarts(t), restarts(s)); c != 0 {
		return c
	}
	if !a.Created.Equal(b.Created) {
		return k.younger(a, b, a.Created, b.Created)
	}
	return strings.Compare(string(a.UID), string(b.UID))
}

// younger compares ages on a logarithmic scale (KEP-2185), so that not always the newest go.
func (k ranking) younger(a, b *state.Record, x, y time.Time) int {
	return cmp.Or(
		cmp.Compare(magnitude(k.d.now.Sub(x)), magnitude(k.d.now.Sub(y))),
		strings.Compare(string(a.UID), string(b.UID)),
	)
}

func magnitude(age time.Duration) int64 {
	if age <= 0 {
		return -1
	}
	return int64(math.Log2(float64(age)))
}

func whether(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func phaseRank(p corev1.PodPhase) int {
	switch p {
	case corev1.PodRunning:
		return 2
	case corev1.PodUnknown:
		return 1
	}
	return 0
}

func deletionCost(p *state.Record) int64 {
	n, err := strconv.ParseInt(p.Object.GetAnnotations()[corev1.PodDeletionCost], 10, 32)
	if err != nil {
		return 0
	}
	return n
}

func readyTime(p *state.Record) time.Time {
	if c := state.PodCondition(p.PodStatus(), corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

func restarts(s *corev1.PodStatus) (most int32) {
	for i := range s.ContainerStatuses {
		most = max(most, s.ContainerStatuses[i].RestartCount)
	}
	return most
}
