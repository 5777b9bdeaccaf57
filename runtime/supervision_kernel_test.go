//go:build kernel

package runtime

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	t.Parallel()
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
	t.Parallel()
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

// TestSupervision_UpgradeOfEveryForm has the shims of Pods of every form become another program: shared
// processes, users of their own, a program of a runtime class, a terminal.
func TestSupervision_UpgradeOfEveryForm(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.stop()
	b.cfg.Resources.Handlers = handlers(t)
	b.up()
	yes, no, class := true, false, "other"
	script := sh("trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done")
	node := &corev1.Node{}
	node.Name = string(b.cfg.Node)
	b.world.adopt(t, b.cfg.Node, "c0", node,
		&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Handler: b.cfg.Resources.Handlers[len(b.cfg.Resources.Handlers)-1].Name}) // the one that accepts any cgroups
	names := []string{"plain", "shared", "users", "other", "terminal"}
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("plain", busyboxImage, script),
		pod("shared", busyboxImage, func(p *corev1.Pod) { script(p); p.Spec.ShareProcessNamespace = &yes }),
		pod("users", busyboxImage, func(p *corev1.Pod) { script(p); p.Spec.HostUsers = &no }),
		pod("other", busyboxImage, func(p *corev1.Pod) { script(p); p.Spec.RuntimeClassName = &class }),
		pod("terminal", busyboxImage, func(p *corev1.Pod) { script(p); p.Spec.Containers[0].TTY = true }))
	before, namespaces, programs := map[string]corev1.ContainerStatus{}, map[string]string{}, map[string]shim.Hello{}
	for _, name := range names {
		before[name] = b.isReady(name).ContainerStatuses[0]
		namespaces[name] = b.output(name, "sh", "-c", "readlink /proc/self/ns/pid; readlink /proc/self/ns/user")
		h, err := b.hello(name)
		if err != nil {
			t.Fatal(err)
		}
		programs[name] = h
	}
	b.stop()
	data, err := os.ReadFile(b.cfg.Shim)
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.Shim = filepath.Join(b.dir, "another-shim")
	if err := os.WriteFile(b.cfg.Shim, data, 0o755); err != nil {
		t.Fatal(err)
	}
	b.up()
	for _, name := range names {
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			h, err := b.hello(name)
			if err == nil {
				var same bool
				if same, err = h.Runs(b.cfg.Shim); err == nil && same && h.PID == programs[name].PID {
					break
				}
			}
			if time.Now().After(end) {
				t.Fatalf("%s: the shim is %+v, was %+v: %v", name, h, programs[name], err)
			}
		}
		if got := b.output(name, "sh", "-c", "readlink /proc/self/ns/pid; readlink /proc/self/ns/user"); got != namespaces[name] {
			t.Errorf("%s is in %s, was in %s", name, got, namespaces[name])
		}
		if c := b.isReady(name).ContainerStatuses[0]; c.ContainerID != before[name].ContainerID || c.RestartCount != 0 {
			t.Errorf("%s: container is %v, was %v", name, c, before[name])
		}
	}
	for _, name := range names { // what is told to end ends, with its code, and is started again in its place
		b.output(name, "sh", "-c", "kill -TERM $(ps -o pid,args | awk '/[t]rap/ {print $1}')")
		s := b.world.await(t, "default", name, "started again", 30*time.Second, func(s *corev1.PodStatus) bool { return ready(s) && s.ContainerStatuses[0].RestartCount == 1 })
		if last := s.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 3 {
			t.Errorf("%s ended with %v, want exit code 3", name, last)
		}
	}
	if got := b.output("shared", "sh", "-c", "readlink /proc/self/ns/pid; readlink /proc/self/ns/user"); got != namespaces["shared"] {
		t.Errorf("a restarted container is in %s, was in %s", got, namespaces["shared"])
	}
}
