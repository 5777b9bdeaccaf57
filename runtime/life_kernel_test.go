//go:build kernel

package runtime

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestPod_RunsAndIsDeleted(t *testing.T) {
	b := newBed(t)
	begun := time.Now()
	b.world.adopt(t, b.cfg.Node, "c1", pod("web", busyboxImage, command("sleep", "1000")))
	s := b.isReady("web")
	t.Logf("ready after %v", time.Since(begun))
	if s.Phase != corev1.PodRunning || s.PodIP != "10.9.0.1" {
		t.Errorf("phase %s and address %s, want Running and 10.9.0.1", s.Phase, s.PodIP)
	}
	c := s.ContainerStatuses[0]
	if c.State.Running == nil || c.RestartCount != 0 || c.Started == nil || !*c.Started || c.ImageID == "" {
		t.Errorf("container status is %v, want running, started, with image and no restarts", c)
	}
	begun = time.Now()
	b.world.end(t, "default", "web", 1)
	b.world.await(t, "default", "web", "gone", 10*time.Second, gone)
	t.Logf("gone after %v", time.Since(begun))
}
