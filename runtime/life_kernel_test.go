//go:build kernel

package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/runtime/shim"
	"writ/state"
)

func TestPod_RunsAndIsDeleted(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	begun := time.Now()
	b.world.adopt(t, b.cfg.Node, "c1", pod("web", busyboxImage, command("sleep", "1000")))
	s := b.isReady("web")
	t.Logf("ready after %v", time.Since(begun))
	if s.Phase != corev1.PodRunning || s.PodIP != "10.9.0.1" {
		t.Errorf("phase %s and address %s, want Running and 10.9.0.1", s.Phase, s.PodIP)
	}
	c := s.ContainerStatuses[0]
	if c.State.Running == nil || c.RestartCount != 0 || c.Started == nil || !*c.Started || !state.FromArchive(&c) {
		t.Errorf("container status is %v, want running, started, with image and no restarts", c)
	}
	begun = time.Now()
	b.world.end(t, "default", "web", 1)
	b.world.await(t, "default", "web", "gone", 10*time.Second, gone)
	t.Logf("gone after %v", time.Since(begun))
}

func sh(script string) func(*corev1.Pod) { return command("sh", "-c", script) }

func (b *bed) output(name string, args ...string) string {
	b.t.Helper()
	var out strings.Builder
	code, err := b.r.Exec(b.t.Context(), ExecOptions{Namespace: "default", Pod: name, Command: args, Stdout: &out, Stderr: &out})
	if err != nil || code != 0 {
		b.t.Fatalf("exec %q in %s: exit %d, %v: %s", args, name, code, err, out.String())
	}
	return out.String()
}

func (b *bed) log1(name string, o LogOptions) string {
	b.t.Helper()
	var out strings.Builder
	if err := b.r.Logs(b.t.Context(), "default", name, "", o, &out); err != nil {
		b.t.Fatalf("logs of %s: %v", name, err)
	}
	return out.String()
}

func TestPod_OutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	sign := filepath.Join(b.dir, "sign")
	if err := os.Mkdir(sign, 0o755); err != nil {
		t.Fatal(err)
	}
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("web", busyboxImage, command("sleep", "1000")),
		pod("short", busyboxImage, func(p *corev1.Pod) {
			sh("until test -e /sign/now; do sleep 0.05; done; exit 7")(p)
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Spec.Volumes = []corev1.Volume{{Name: "sign", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: sign}}}}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "sign", MountPath: "/sign"}}
		}))
	before := b.isReady("web").ContainerStatuses[0]
	b.isReady("short")
	b.stop()
	if err := os.WriteFile(filepath.Join(sign, "now"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.ended("short") // while nobody looks
	b.up()
	s := b.world.await(t, "default", "short", "failed", 5*time.Second, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodFailed })
	if got := s.ContainerStatuses[0].State.Terminated; got == nil || got.ExitCode != 7 || got.Reason != "Error" {
		t.Errorf("state of short is %v, want exit 7", s.ContainerStatuses[0].State)
	}
	if out := b.output("web", "echo", "here"); out != "here\n" {
		t.Errorf("exec printed %q", out)
	}
	after := b.world.status("default", "web").ContainerStatuses[0]
	if after.ContainerID != before.ContainerID || after.RestartCount != 0 || !after.Ready {
		t.Errorf("container after the restart is %v, was %v", after, before)
	}
}

// ended waits until the shim of a Pod of one container has seen it end.
func (b *bed) ended(name string) {
	b.t.Helper()
	dir := b.cfg.pod("default", name, b.world.World().Get(manifest.PodRef("default", name)).UID).run
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		found, err := shim.New(dir).State(b.t.Context())
		if err == nil && len(found.Containers) == 1 && found.Containers[0].Status == shim.StatusExited {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s has not ended after 30 s: %+v, %v", name, found, err)
		}
	}
}

func TestPod_OutlivesItsShim(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("web", busyboxImage, sh("while true; do sleep 0.1; done")))
	before := b.isReady("web").ContainerStatuses[0]
	rec := b.world.World().Get(manifest.PodRef("default", "web"))
	dir := b.cfg.pod("default", "web", rec.UID).run
	hello, err := shim.New(dir).Hello(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(hello.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		if next, err := shim.New(dir).Hello(t.Context()); err == nil && next.PID != hello.PID {
			break
		} else if time.Now().After(end) {
			t.Fatalf("no shim took over in 10 s: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if out := b.output("web", "echo", "here"); out != "here\n" {
		t.Errorf("exec printed %q", out)
	}
	after := b.world.status("default", "web").ContainerStatuses[0]
	if after.ContainerID != before.ContainerID || after.RestartCount != 0 {
		t.Errorf("container after its shim's death is %v, was %v", after, before)
	}
	b.world.end(t, "default", "web", 0)
	b.world.await(t, "default", "web", "gone", 10*time.Second, gone)
}

func TestPod_CrashLoop(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("crash", busyboxImage, func(p *corev1.Pod) {
		sh("echo attempt; echo sorry >/dev/termination-log; exit 3")(p)
	}))
	s := b.world.await(t, "default", "crash", "in back-off", 10*time.Second, func(s *corev1.PodStatus) bool {
		return len(s.ContainerStatuses) > 0 && s.ContainerStatuses[0].State.Waiting != nil && s.ContainerStatuses[0].State.Waiting.Reason == "CrashLoopBackOff"
	})
	c := s.ContainerStatuses[0]
	want := "back-off 10s restarting failed container=main pod=crash_default(" + string(b.world.World().Get(manifest.PodRef("default", "crash")).UID) + ")"
	if c.RestartCount != 1 || c.State.Waiting.Message != want {
		t.Errorf("restarts %d and %q, want 1 and %q", c.RestartCount, c.State.Waiting.Message, want)
	}
	last := c.LastTerminationState.Terminated
	if last == nil || last.ExitCode != 3 || last.Message != "sorry\n" {
		t.Errorf("last state is %v, want exit 3 and its message", c.LastTerminationState)
	}
	if s.Phase != corev1.PodRunning {
		t.Errorf("phase is %s, want Running as kubelet has it", s.Phase)
	}
	if out := b.log1("crash", LogOptions{Tail: -1, Previous: true}); out != "attempt\n" {
		t.Errorf("previous log is %q", out)
	}
	if !b.saw("BackOff") {
		t.Error("no event BackOff")
	}
}

func TestPod_EndsOfContainers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	never := func(change func(*corev1.Pod)) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever; change(p) }
	}
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("done", busyboxImage, never(sh("echo hello"))),
		pod("missing", busyboxImage, never(command("/no/such/command"))),
		pod("oom", busyboxImage, never(func(p *corev1.Pod) {
			sh("x=a; while true; do x=$x$x$x$x; done")(p)
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("32Mi")}
		})),
		pod("logs", busyboxImage, never(func(p *corev1.Pod) {
			sh("echo from the log; exit 1")(p)
			p.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
		})),
		pod("forks", busyboxImage, never(func(p *corev1.Pod) { sh("f() { f | f & }; f; sleep 1; exit 9")(p) })),
		pod("late", busyboxImage, func(p *corev1.Pod) {
			limit := int64(1)
			p.Spec.ActiveDeadlineSeconds = &limit
			command("sleep", "100")(p)
		}),
	)
	final := func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodFailed || s.Phase == corev1.PodSucceeded }
	for _, tt := range []struct {
		name, reason, message string
		code                  int32
		phase                 corev1.PodPhase
	}{
		{"done", "Completed", "", 0, corev1.PodSucceeded},
		{"missing", "StartError", "", 128, corev1.PodFailed},
		{"oom", "OOMKilled", "", 137, corev1.PodFailed},
		{"logs", "Error", "from the log\n", 1, corev1.PodFailed},
	} {
		s := b.world.await(t, "default", tt.name, "final", 20*time.Second, final)
		got := s.ContainerStatuses[0].State.Terminated
		if got == nil || s.Phase != tt.phase || got.ExitCode != tt.code || got.Reason != tt.reason || tt.message != "" && got.Message != tt.message {
			t.Errorf("%s: phase %s, state %v, want %s, %s (%d) %q", tt.name, s.Phase, got, tt.phase, tt.reason, tt.code, tt.message)
		}
	}
	if out := b.log1("done", LogOptions{Tail: -1}); out != "hello\n" {
		t.Errorf("log of done is %q", out)
	}
	s := b.world.await(t, "default", "late", "final", 10*time.Second, final)
	if s.Reason != "DeadlineExceeded" {
		t.Errorf("late failed with %q, want DeadlineExceeded", s.Reason)
	}
	b.world.end(t, "default", "forks", 0)
	b.world.await(t, "default", "forks", "gone", 20*time.Second, gone)
}

func TestPod_WaitsForItsConfig(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, func(p *corev1.Pod) {
		command("sleep", "1000")(p)
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "COLOUR", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "app"}, Key: "colour"}}}, {Name: "BOTH", Value: "$(COLOUR)-$(COLOUR)"}}
	}))
	s := b.world.await(t, "default", "app", "refused", 5*time.Second, func(s *corev1.PodStatus) bool {
		return len(s.ContainerStatuses) > 0 && s.ContainerStatuses[0].State.Waiting != nil && s.ContainerStatuses[0].State.Waiting.Reason == "CreateContainerConfigError"
	})
	if got := s.ContainerStatuses[0].State.Waiting.Message; got != `configmap "app" not found` {
		t.Errorf("message is %q", got)
	}
	begun := time.Now()
	b.world.adopt(t, b.cfg.Node, "c2", configMap("app", map[string]string{"colour": "red"}))
	b.isReady("app")
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("ready %v after the ConfigMap appeared", took)
	}
	if out := b.output("app", "sh", "-c", "echo $BOTH"); out != "red-red\n" {
		t.Errorf("environment is %q", out)
	}
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: data}
}

func TestPod_Volumes(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	if err := os.MkdirAll(filepath.Join(b.dir, "shown"), 0o755); err != nil {
		t.Fatal(err)
	}
	group := int64(3000)
	b.world.adopt(t, b.cfg.Node, "c1",
		configMap("files", map[string]string{"a.txt": "one"}),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "keys"}, Data: map[string][]byte{"key": []byte("secret")}},
		pod("app", busyboxImage, func(p *corev1.Pod) {
			command("sleep", "1000")(p)
			p.Labels = map[string]string{"app": "v"}
			p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
			limit := resource.MustParse("1Mi")
			p.Spec.Volumes = []corev1.Volume{
				{Name: "disk", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "mem", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &limit}}},
				{Name: "cm", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "files"}}}},
				{Name: "sec", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "keys"}}},
				{Name: "down", VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}}}}},
				{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: filepath.Join(b.dir, "shown")}}},
				{Name: "above", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: b.dir}}},
			}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{
				{Name: "disk", MountPath: "/disk"}, {Name: "disk", MountPath: "/sub", SubPath: "x/y"}, {Name: "mem", MountPath: "/mem"}, {Name: "cm", MountPath: "/cm"},
				{Name: "cm", MountPath: "/one.txt", SubPath: "a.txt"}, {Name: "sec", MountPath: "/sec"}, {Name: "down", MountPath: "/down"},
				{Name: "host", MountPath: "/host"}, {Name: "above", MountPath: "/above", ReadOnly: true},
			}
		}))
	b.isReady("app")
	for _, tt := range []struct{ script, want string }{
		{"cat /cm/a.txt /sec/key /one.txt", "onesecretone"},
		{"cat /down/labels", `app="v"`},
		{"echo x > /disk/f; echo y > /sub/g; cat /disk/f /disk/x/y/g", "x\ny\n"},
		{"stat -c %g:%a /disk", "3000:2777\n"},
		{"id -G", "0 3000\n"},
		{"dd if=/dev/zero of=/mem/big bs=1M count=3 2>/dev/null; stat -c %s /mem/big", "1048576\n"},
		{"echo z > /host/file; cat /host/file", "z\n"},
		{"ls -A /above/data /above/run | wc -w", "2\n"}, // the two headers, nothing below
		{"touch /cm/x 2>/dev/null; echo $?", "1\n"},
		{"stat -f -c %T /sec", "tmpfs\n"},
		{"df -k /dev/shm | tail -1 | awk '{print $2}'", "65536\n"},
		{"hostname; cat /etc/hostname", "app\napp\n"},
		{"grep -c 10.9.0.1 /etc/hosts", "1\n"},
	} {
		if got := b.output("app", "sh", "-c", tt.script); got != tt.want {
			t.Errorf("%s printed %q, want %q", tt.script, got, tt.want)
		}
	}
	b.world.adopt(t, b.cfg.Node, "c2", configMap("files", map[string]string{"a.txt": "two", "b.txt": "new"}))
	end := time.Now().Add(5 * time.Second)
	for b.output("app", "sh", "-c", "cat /cm/*; cat /one.txt") != "twonewone" {
		if time.Now().After(end) {
			t.Fatalf("volume is not updated after 5 s: %q", b.output("app", "sh", "-c", "cat /cm/*; cat /one.txt"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestPod_HostPathOfTheDaemonIsRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("thief", busyboxImage, func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "own", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: filepath.Join(b.cfg.DataDir, "layers")}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "own", MountPath: "/own"}}
	}))
	for end := time.Now().Add(5 * time.Second); !b.saw("FailedMount"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no event FailedMount after 5 s")
		}
	}
	if s := b.world.status("default", "thief"); s.Phase != corev1.PodPending {
		t.Errorf("phase is %s, want Pending", s.Phase)
	}
}
