//go:build kernel

package runtime

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// The daemon ends at twenty random moments while Pods come and go: each comes up
// once, none that runs is restarted, none that is deleted stays.
func TestPod_RandomCrashes(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	random := rand.New(rand.NewPCG(1, 2))
	b.world.adopt(t, b.cfg.Node, "c0", pod("steady", busyboxImage, sh("trap exit TERM; sleep 1000 & wait")))
	steady := b.isReady("steady").ContainerStatuses[0].ContainerID
	for round := range 20 {
		name := fmt.Sprintf("p%d", round)
		b.world.adopt(t, b.cfg.Node, fmt.Sprintf("c%d", round+1), pod(name, busyboxImage, sh("trap exit TERM; sleep 1000 & wait")))
		time.Sleep(time.Duration(random.IntN(120)) * time.Millisecond)
		b.restart()
		s := b.isReady(name)
		if c := s.ContainerStatuses[0]; c.RestartCount != 0 {
			t.Fatalf("round %d: %s was restarted: %v", round, name, c)
		}
		b.world.end(t, "default", name, 0)
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		b.restart()
		b.world.await(t, "default", name, "gone", 10*time.Second, gone)
		b.world.decide(t, state.Batch{Deletes: []state.Delete{{Ref: manifest.PodRef("default", name)}}})
	}
	s := b.world.await(t, "default", "steady", "ready", time.Second, func(s *corev1.PodStatus) bool { return ready(s) })
	if c := s.ContainerStatuses[0]; c.ContainerID != steady || c.RestartCount != 0 {
		t.Errorf("the steady pod is %v, was %s", c, steady)
	}
	for end := time.Now().Add(5 * time.Second); len(b.r.onDisk()) > 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("directories %v are left, want the steady pod's alone", b.r.onDisk())
		}
	}
}
