package guard

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/pressure"
)

const (
	// share is how much longer than a measurement the time until the next one is: measuring, which is
	// gentle, takes no more than one in so many seconds.
	share = 10
	// seldom is how long a Pod is not measured at the most.
	seldom = 5 * time.Minute
	// abreast is how many measurements may be on their way at once, those that hang included.
	abreast = 4
)

// scans are the measurements of the Pods that may use only so much of the disk.
type scans struct {
	mu   sync.Mutex
	pods map[string]*scan // by UID
	busy int
}

type scan struct {
	busy bool
	next time.Time
}

// scan measures the Pods that are due, each beside the Guard, since one may hang.
func (g *Guard) scan(ctx context.Context) {
	limited := g.node.Limited()
	g.scans.mu.Lock()
	defer g.scans.mu.Unlock()
	if len(limited) == 0 && len(g.scans.pods) == 0 {
		return
	}
	present := make(map[string]bool, len(limited))
	now := time.Now()
	for _, pod := range limited {
		uid := string(pod.UID)
		present[uid] = true
		one := g.scans.pods[uid]
		if one == nil {
			one = &scan{}
			g.scans.pods[uid] = one
		}
		if one.busy || now.Before(one.next) || g.scans.busy >= abreast {
			continue
		}
		one.busy = true
		g.scans.busy++
		go g.scanOne(ctx, pod, one)
	}
	for uid, one := range g.scans.pods {
		if !present[uid] && !one.busy {
			delete(g.scans.pods, uid)
		}
	}
}

// scanOne measures one Pod and evicts it if it uses more than it may.
func (g *Guard) scanOne(ctx context.Context, pod *corev1.Pod, one *scan) {
	begun := time.Now()
	u, err := g.node.Usage(ctx, pod, true, true)
	took := time.Since(begun)
	g.scans.mu.Lock()
	one.busy = false
	g.scans.busy--
	one.next = begun.Add(min(max(pressure.LookEvery/2, share*took), seldom))
	g.scans.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		g.log.Warn("pod is not measured", "pod", pod.Namespace+"/"+pod.Name, "err", err)
		return
	}
	if e := pressure.Limits(pod, u); e != nil {
		g.log.Info("a pod is evicted", "pod", pod.Namespace+"/"+pod.Name, "why", e.Message)
		g.hands.Evict(e)
	}
}
