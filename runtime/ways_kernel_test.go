//go:build kernel

package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"writ/manifest"
	"writ/runtime/shim"
	"writ/state"
)

func TestPod_InitContainersAndSidecar(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	always := corev1.ContainerRestartPolicyAlways
	shared := []corev1.VolumeMount{{Name: "work", MountPath: "/work"}}
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.Volumes = []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		p.Spec.InitContainers = []corev1.Container{
			{Name: "first", Image: busyboxImage, Command: []string{"sh", "-c", "echo first >>/work/order"}, VolumeMounts: shared},
			{Name: "side", Image: busyboxImage, RestartPolicy: &always, VolumeMounts: shared,
				Command:      []string{"sh", "-c", "trap 'echo side ends >>/work/order; exit 0' TERM; echo side >>/work/order; while true; do sleep 0.05; done"},
				StartupProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"grep", "side", "/work/order"}}}, PeriodSeconds: 1}},
			{Name: "second", Image: busyboxImage, Command: []string{"sh", "-c", "echo second >>/work/order"}, VolumeMounts: shared},
		}
		p.Spec.Containers[0].Command = []string{"sh", "-c", "echo main >>/work/order; sleep 0.5"}
		p.Spec.Containers[0].VolumeMounts = shared
	}))
	rec := b.world.World().Get(manifest.PodRef("default", "app"))
	order := filepath.Join(b.cfg.pod("default", "app", rec.UID).volumes(), "work", "order")
	b.world.await(t, "default", "app", "succeeded", 15*time.Second, func(s *corev1.PodStatus) bool {
		return s.Phase == corev1.PodSucceeded && s.InitContainerStatuses[1].State.Terminated != nil
	})
	got, err := os.ReadFile(order)
	if want := "first\nside\nsecond\nmain\nside ends\n"; err != nil || string(got) != want {
		t.Errorf("order is %q, %v, want %q", got, err, want)
	}
}

func TestPod_Probes(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec := func(args ...string) corev1.ProbeHandler {
		return corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: args}}
	}
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("gated", busyboxImage, func(p *corev1.Pod) {
			command("sleep", "1000")(p)
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: exec("cat", "/ready"), PeriodSeconds: 1, FailureThreshold: 1}
		}),
		pod("sick", busyboxImage, func(p *corev1.Pod) {
			command("sleep", "1000")(p)
			p.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: exec("false"), PeriodSeconds: 1, FailureThreshold: 1}
			zero := int64(0)
			p.Spec.TerminationGracePeriodSeconds = &zero
		}),
		pod("served", demoImage, func(p *corev1.Pod) {
			p.Spec.HostNetwork = true
			p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "ADDRESS", Value: "127.0.0.1:18473"}}
			p.Spec.Containers[0].Args = []string{"--address=127.0.0.1:18473"}
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(18473)}}, PeriodSeconds: 10}
		}))
	s := b.world.await(t, "default", "gated", "running", 10*time.Second, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodRunning })
	if ready(s) {
		t.Error("pod is ready before its probe passed")
	}
	b.output("gated", "touch", "/ready")
	b.isReady("gated")
	b.output("gated", "rm", "/ready")
	b.world.await(t, "default", "gated", "unready", 5*time.Second, func(s *corev1.PodStatus) bool { return !ready(s) })
	s = b.world.await(t, "default", "sick", "restarted", 10*time.Second, func(s *corev1.PodStatus) bool { return s.ContainerStatuses[0].RestartCount > 0 })
	if last := s.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 137 {
		t.Errorf("last state of sick is %v, want exit 137", s.ContainerStatuses[0].LastTerminationState)
	}
	if !b.saw("Unhealthy") {
		t.Error("no event Unhealthy")
	}
}

func TestPod_WayOut(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	if err := os.MkdirAll(filepath.Join(b.dir, "trace"), 0o777); err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{}
	node.Name = string(b.cfg.Node)
	grace := int64(20)
	b.world.adopt(t, b.cfg.Node, "c1", node, pod("web", busyboxImage, func(p *corev1.Pod) {
		sh("trap 'echo term >>/trace/log; exit 0' TERM; while true; do sleep 0.02; done")(p)
		p.Spec.TerminationGracePeriodSeconds = &grace
		p.Spec.Volumes = []corev1.Volume{{Name: "trace", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: filepath.Join(b.dir, "trace")}}}}
		c := &p.Spec.Containers[0]
		c.VolumeMounts = []corev1.VolumeMount{{Name: "trace", MountPath: "/trace"}}
		c.Lifecycle = &corev1.Lifecycle{
			PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "echo post >>/trace/log"}}},
			PreStop:   &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "echo pre >>/trace/log; sleep 0.3; echo prefin >>/trace/log"}}},
		}
	}))
	b.isReady("web")
	trace := func() string {
		data, _ := os.ReadFile(filepath.Join(b.dir, "trace", "log"))
		return strings.ReplaceAll(string(data), "\n", " ")
	}
	begun := time.Now()
	b.world.end(t, "default", "web", grace)
	time.Sleep(300 * time.Millisecond)
	if got := trace(); got != "post " {
		t.Errorf("%q happened before the routes were gone", got)
	}
	rev := b.world.World().Get(manifest.PodRef("default", "web")).Deletion.Revision
	if _, err := b.world.Propose(t.Context(), state.Batch{Writer: state.NodeWriter(b.cfg.Node), Puts: []state.Put{{Ref: manifest.NodeRef(string(b.cfg.Node)), Routed: rev}}}); err != nil {
		t.Fatal(err)
	}
	b.world.await(t, "default", "web", "gone", 10*time.Second, gone)
	if took := time.Since(begun); took > 1900*time.Millisecond {
		t.Errorf("gone after %v although it was routed at once", took)
	}
	if got := trace(); got != "post pre prefin term " {
		t.Errorf("order is %q, want post pre prefin term", got)
	}
}

func TestPod_GraceGoesOnOverARestart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	grace := int64(3)
	b.world.adopt(t, b.cfg.Node, "c1", pod("deaf", busyboxImage, func(p *corev1.Pod) {
		command("sleep", "1000")(p)
		p.Spec.TerminationGracePeriodSeconds = &grace
	}))
	b.isReady("deaf")
	begun := time.Now()
	b.world.end(t, "default", "deaf", grace)
	time.Sleep(100 * time.Millisecond)
	b.restart()
	b.world.await(t, "default", "deaf", "gone", 10*time.Second, gone)
	if took := time.Since(begun); took < 2500*time.Millisecond || took > 6*time.Second {
		t.Errorf("gone after %v, want the 3 s of its grace", took)
	}
}

func TestPod_UnknownIsRemovedOnlyAfterAdoption(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("web", busyboxImage, command("sleep", "1000")))
	b.isReady("web")
	uid := b.world.World().Get(manifest.PodRef("default", "web")).UID
	dir := b.cfg.pod("default", "web", uid).run
	b.stop()
	records, err := func() ([]*state.Record, error) {
		r, err := New(b.cfg, b.images, b.net, b.world, b.event, b.log())
		if err != nil {
			return nil, err
		}
		return r.Restore(t.Context())
	}()
	if err != nil || len(records) != 1 || records[0].UID != uid || records[0].Node != b.cfg.Node {
		t.Fatalf("Restore gave %v, %v, want the one pod", records, err)
	}
	b.world = newWorld() // the store is lost
	b.up()
	time.Sleep(500 * time.Millisecond)
	state1, err := shim.New(dir).State(t.Context())
	if err != nil || len(state1.Containers) != 1 || state1.Containers[0].Status != shim.StatusRunning {
		t.Fatalf("container is %v, %v while the world is empty, want it running", state1.Containers, err)
	}
	b.world.adopt(t, b.cfg.Node, "c2")
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Lstat(dir); os.IsNotExist(err) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("sandbox of an unknown pod is there 10 s after the adoption")
		}
	}
}

func TestPod_Security(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	yes, no, uid := true, false, int64(1234)
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("tight", busyboxImage, func(p *corev1.Pod) {
			command("sleep", "1000")(p)
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: &uid, RunAsNonRoot: &yes, ReadOnlyRootFilesystem: &yes,
				AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
		}),
		pod("usual", busyboxImage, command("sleep", "1000")),
		pod("without", busyboxImage, func(p *corev1.Pod) {
			command("sleep", "1000")(p)
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"NET_RAW"}}}
		}),
		pod("root", busyboxImage, func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: &yes}
		}))
	b.isReady("tight")
	b.isReady("usual")
	b.isReady("without")
	for _, tt := range []struct{ pod, script, want string }{
		{"tight", "id -u; touch /x 2>/dev/null; echo $?; grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t'", "1234\n1\nCapBnd:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n"},
		{"usual", "id -u; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t'", "0\nCapEff:00000000a80425fb\nNoNewPrivs:0\nSeccomp:2\n"},
		{"without", "grep CapEff /proc/self/status | tr -d '\\t'", "CapEff:00000000a80405fb\n"}, // and NET_RAW is the only difference
		{"usual", "ping -c 1 -w 5 127.0.0.1 | grep -c '1 packets received'", "1\n"},
		{"without", "ping -c 1 -w 5 127.0.0.1 2>&1 | grep -c 'permission denied'", "1\n"},
		{"usual", "touch /sys/x /proc/sys/kernel/hostname 2>/dev/null; echo $?; wc -c </proc/timer_list; cat /proc/1/comm", "1\n0\nsleep\n"},
	} {
		if got := b.output(tt.pod, "sh", "-c", tt.script); got != tt.want {
			t.Errorf("%s in %s printed %q, want %q", tt.script, tt.pod, got, tt.want)
		}
	}
	s := b.world.await(t, "default", "root", "refused", 5*time.Second, func(s *corev1.PodStatus) bool {
		return len(s.ContainerStatuses) > 0 && s.ContainerStatuses[0].State.Waiting != nil && s.ContainerStatuses[0].State.Waiting.Reason == "CreateContainerConfigError"
	})
	if got := s.ContainerStatuses[0].State.Waiting.Message; !strings.HasPrefix(got, "container has runAsNonRoot and image will run as root") {
		t.Errorf("message is %q", got)
	}
}

func TestPod_ImageTrouble(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("absent", "localhost:1/none:1", nil),
		pod("never", "localhost:1/none:1", func(p *corev1.Pod) { p.Spec.Containers[0].ImagePullPolicy = corev1.PullNever }),
		pod("invalid", "Not A Name", nil))
	for name, reason := range map[string]string{"absent": "ImagePullBackOff", "never": "ErrImageNeverPull", "invalid": "InvalidImageName"} {
		b.world.await(t, "default", name, reason, 10*time.Second, func(s *corev1.PodStatus) bool {
			return len(s.ContainerStatuses) > 0 && s.ContainerStatuses[0].State.Waiting != nil && s.ContainerStatuses[0].State.Waiting.Reason == reason && s.Phase == corev1.PodPending
		})
	}
	b.world.end(t, "default", "absent", 30)
	b.world.await(t, "default", "absent", "gone", 5*time.Second, gone)
}

func TestPod_NewImageInPlace(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", "writ.example/demo:blue", nil))
	old := b.isReady("app").ContainerStatuses[0]
	b.world.adopt(t, b.cfg.Node, "c2", pod("app", "writ.example/demo:green", nil))
	s := b.world.await(t, "default", "app", "on the new image", 15*time.Second, func(s *corev1.PodStatus) bool {
		return ready(s) && s.ContainerStatuses[0].Image == "writ.example/demo:green"
	})
	if c := s.ContainerStatuses[0]; c.RestartCount != 1 || c.ContainerID == old.ContainerID || c.ImageID == old.ImageID {
		t.Errorf("container is %v, was %v, want one restart and another image", c, old)
	}
}

func TestPod_LongLine(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("loud", busyboxImage, func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		sh("head -c 5000000 /dev/zero | tr '\\0' x; echo; echo last")(p)
	}))
	b.world.await(t, "default", "loud", "done", 20*time.Second, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodSucceeded })
	out := b.log1("loud", LogOptions{Tail: -1})
	if len(out) != 5000006 || !strings.HasSuffix(out, "x\nlast\n") {
		t.Errorf("log has %d bytes, want 5000006 ending in last", len(out))
	}
}
