//go:build kernel

package runtime

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/runtime/shim"
	"writ/state"
)

// hello asks the shim of a Pod who it is.
func (b *bed) hello(name string) (shim.Hello, error) {
	rec := b.world.World().Get(manifest.PodRef("default", name))
	if rec == nil {
		return shim.Hello{}, fmt.Errorf("there is no pod %s", name)
	}
	return shim.New(b.cfg.pod("default", name, rec.UID).run).Hello(b.t.Context())
}

// cutShim kills the shim of a Pod, if it has one by now.
func (b *bed) cutShim(name string) {
	if h, err := b.hello(name); err == nil {
		_ = syscall.Kill(h.PID, syscall.SIGKILL)
	}
}

// TestSupervision_RandomKills kills the daemon, the shims, or both, at random moments of the life of Pods with
// an init container, a sidecar and a main one: each comes up, none that ran is started again, nothing is left.
func TestSupervision_RandomKills(t *testing.T) {
	b := newBed(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	always := corev1.ContainerRestartPolicyAlways
	make := func(name string) *corev1.Pod {
		return pod(name, busyboxImage, func(p *corev1.Pod) {
			sh("trap exit TERM; cat /shared/made; sleep 1000 & wait")(p)
			mount := []corev1.VolumeMount{{Name: "shared", MountPath: "/shared"}}
			p.Spec.Volumes = []corev1.Volume{{Name: "shared", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
			p.Spec.Containers[0].VolumeMounts = mount
			begin := p.Spec.Containers[0]
			begin.Name, begin.Command = "begin", []string{"sh", "-c", "sleep 0.05; echo once >> /shared/made"}
			side := p.Spec.Containers[0]
			side.Name, side.RestartPolicy = "side", &always
			p.Spec.InitContainers = []corev1.Container{begin, side}
		})
	}
	kill := func(names ...string) {
		switch random.IntN(3) {
		case 0:
			b.restart()
		case 1:
			for _, name := range names {
				b.cutShim(name)
			}
		default: // both
			b.stop()
			for _, name := range names {
				b.cutShim(name)
			}
			b.up()
		}
	}
	b.world.adopt(t, b.cfg.Node, "c0", make("steady"))
	steady := b.isReady("steady")
	for round := range 4 {
		name := fmt.Sprintf("p%d", round)
		b.world.adopt(t, b.cfg.Node, fmt.Sprintf("c%d", round+1), make(name))
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		kill(name, "steady")
		b.world.await(t, "default", name, fmt.Sprintf("ready (seed %d, round %d)", seed, round), 30*time.Second, ready)
		b.world.end(t, "default", name, 1)
		time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		kill(name)
		b.world.await(t, "default", name, fmt.Sprintf("gone (seed %d, round %d)", seed, round), 30*time.Second, gone)
		b.world.decide(t, state.Batch{Deletes: []state.Delete{{Ref: manifest.PodRef("default", name)}}})
	}
	b.world.await(t, "default", "steady", "ready", 10*time.Second, ready)
	now := b.world.status("default", "steady")
	for i, c := range now.ContainerStatuses {
		if was := steady.ContainerStatuses[i]; c.ContainerID != was.ContainerID || c.RestartCount != 0 {
			t.Errorf("seed %d: steady is %v, was %v", seed, c, was)
		}
	}
	for i, c := range now.InitContainerStatuses {
		if was := steady.InitContainerStatuses[i]; c.ContainerID != was.ContainerID || c.RestartCount != 0 {
			t.Errorf("seed %d: %s of steady is %v, was %v", seed, c.Name, c, was)
		}
	}
	if out := b.output("steady", "cat", "/shared/made"); out != "once\n" {
		t.Errorf("seed %d: the init container left %q", seed, out)
	}
	for end := time.Now().Add(10 * time.Second); len(b.r.onDisk()) > 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("seed %d: directories %v are left, want the steady pod's alone", seed, b.r.onDisk())
		}
	}
}

// TestSupervision_ShimThatHangs stops a shim: it is replaced, and its containers do not notice.
func TestSupervision_ShimThatHangs(t *testing.T) {
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("web", busyboxImage, sh("trap exit TERM; sleep 1000 & wait")))
	before := b.isReady("web").ContainerStatuses[0]
	hello, err := b.hello("web")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(hello.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.r.mu.Lock()
	for _, w := range b.r.workers {
		for range mostMute { // what two relists in a row bring
			w.post(func() { w.took(shim.PodState{}, context.DeadlineExceeded) })
		}
	}
	b.r.mu.Unlock()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if next, err := b.hello("web"); err == nil && next.PID != hello.PID {
			break
		} else if time.Now().After(end) {
			t.Fatalf("no shim took over in 30 s: %v", err)
		}
	}
	if out := b.output("web", "echo", "here"); out != "here\n" {
		t.Errorf("exec printed %q", out)
	}
	if after := b.world.status("default", "web").ContainerStatuses[0]; after.ContainerID != before.ContainerID || after.RestartCount != 0 {
		t.Errorf("container is %v, was %v", after, before)
	}
}
