//go:build kernel

package runtime

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
)

// A termination message is read wherever its path lies, in a volume too, as with containerd.
func TestVolumes_MessageInAVolume(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, volumes(func(p *corev1.Pod, c *corev1.Container) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		c.Command = []string{"sh", "-c", "echo -n done >/disk/message"}
		c.TerminationMessagePath = "/disk/message"
	}, emptyDir("disk"))))
	s := b.world.await(t, "default", "app", "its end", waitLimit, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodSucceeded })
	if got := s.ContainerStatuses[0].State.Terminated; got == nil || got.Message != "done" {
		t.Errorf("terminated as %+v, want the message %q", got, "done")
	}
}

// A daemon that starts leaves the volumes of what runs as containers made them.
func TestVolumes_KeptOverARestart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	memory := emptyDir("memory")
	memory.EmptyDir.Medium = corev1.StorageMediumMemory
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, volumes(nil, emptyDir("disk"), memory)))
	b.isReady("app")
	const look = "stat -c %a:%u /disk /memory"
	b.prints("app", map[string]string{look: "777:0\n777:0\n"})
	b.prints("app", map[string]string{"chmod 700 /disk /memory && chown 70 /disk /memory": ""})
	b.restart()
	uid := b.world.World().Get(manifest.PodRef("default", "app")).UID
	b.eventually("the new daemon has made the volumes", func() bool {
		b.r.mu.Lock()
		w := b.r.workers[uid]
		b.r.mu.Unlock()
		if w == nil {
			return false
		}
		made := make(chan bool, 1)
		w.post(func() { made <- w.o.Volumes.Done })
		return <-made
	})
	b.prints("app", map[string]string{look: "700:70\n700:70\n"})
}
