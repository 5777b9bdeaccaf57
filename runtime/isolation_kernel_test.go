//go:build kernel

package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/runtime/shim"
)

// TestSecurity_Refusals: what cannot be run as it asks is refused in upstream's words.
func TestSecurity_Refusals(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	yes, long, lost := true, strings.Repeat("h", 40), "lost.json"
	id := func(n int64) *int64 { return &n }
	cases := []struct {
		name, image     string
		change          func(*corev1.Pod)
		reason, message string // of the waiting container, or of the failed Pod
		event           string
	}{
		{"root-image", witnessImage, func(p *corev1.Pod) { p.Spec.SecurityContext.RunAsNonRoot = &yes },
			"CreateContainerConfigError", `container has runAsNonRoot and image will run as root (pod: "root-image_default(UID)", container: main)`, "Failed"},
		{"named-user", namedImage, func(p *corev1.Pod) { p.Spec.SecurityContext.RunAsNonRoot = &yes },
			"CreateContainerConfigError", `container has runAsNonRoot and image has non-numeric user (writer), cannot verify user is non-root (pod: "named-user_default(UID)", container: main)`, "Failed"},
		{"root-asked-for", witnessImage, func(p *corev1.Pod) {
			p.Spec.SecurityContext.RunAsNonRoot, p.Spec.Containers[0].SecurityContext.RunAsUser = &yes, id(0)
		}, "CreateContainerConfigError", `container's runAsUser breaks non-root policy (pod: "root-asked-for_default(UID)", container: main)`, "Failed"},
		{"no-profile", witnessImage, func(p *corev1.Pod) {
			p.Spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &lost}
		}, "CreateContainerError", `failed to generate seccomp spec opts: cannot load seccomp profile "lost.json":`, "Failed"},
		{"sysctl", witnessImage, func(p *corev1.Pod) {
			p.Spec.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "kernel.msgmax", Value: "1"}}
		}, "SysctlForbidden", `Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted`, "SysctlForbidden"},
		{"long-name", witnessImage, func(p *corev1.Pod) { p.Spec.Hostname, p.Spec.Subdomain, p.Spec.SetHostnameAsFQDN = long, "sub", &yes },
			"ContainerCreating", "", "FailedCreatePodSandBox"},
	}
	if !b.r.machine.LSM.AppArmor {
		cases = append(cases, struct {
			name, image     string
			change          func(*corev1.Pod)
			reason, message string
			event           string
		}{"apparmor", witnessImage, func(p *corev1.Pod) {
			p.Spec.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &long}
		}, "AppArmor", "Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host", "AppArmor"})
	}
	var pods []manifest.Object
	for _, tt := range cases {
		pods = append(pods, testifies(tt.name, func(p *corev1.Pod) { p.Spec.Containers[0].Image = tt.image; tt.change(p) }))
	}
	b.world.adopt(t, b.cfg.Node, "c1", pods...)
	for _, tt := range cases {
		uid := b.world.World().Get(manifest.PodRef("default", tt.name)).UID
		want := strings.ReplaceAll(tt.message, "UID", string(uid))
		b.world.await(t, "default", tt.name, tt.reason+" "+want, 30*time.Second, func(s *corev1.PodStatus) bool {
			if s.Phase == corev1.PodFailed {
				return s.Reason == tt.reason && s.Message == want
			}
			w := firstWaiting(s)
			return w != nil && w.Reason == tt.reason && strings.HasPrefix(w.Message, want)
		})
		if !b.warned(tt.name, tt.event) {
			t.Errorf("%s: no event %s", tt.name, tt.event)
		}
	}
	b.restart()
	for _, name := range []string{"sysctl", "root-image", "long-name"} {
		b.world.end(t, "default", name, 1)
		b.world.await(t, "default", name, "gone", 30*time.Second, gone)
	}
	if s := b.world.status("default", "sysctl"); s.Phase != corev1.PodFailed || s.Reason != "SysctlForbidden" {
		t.Errorf("after another start the refused pod is %s %s", s.Phase, s.Reason)
	}
}

func firstWaiting(s *corev1.PodStatus) *corev1.ContainerStateWaiting {
	if len(s.ContainerStatuses) == 0 {
		return nil
	}
	return s.ContainerStatuses[0].State.Waiting
}

// warned says that a Pod has an event of a reason.
func (b *bed) warned(pod, reason string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Reason == reason && e.Ref.Name == pod {
			return true
		}
	}
	return false
}

// TestSecurity_SharedProcesses: process 1 belongs to no container, reaps for all, obeys none, and outlives the shim; when
// it is killed the Pod's containers are started again around another.
func TestSecurity_SharedProcesses(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	yes := true
	b.world.adopt(t, b.cfg.Node, "c1", pod("shared", witnessImage, func(p *corev1.Pod) {
		p.Spec.ShareProcessNamespace = &yes
		p.Spec.Containers[0].Command = []string{"/witness", "stay"}
		second := p.Spec.Containers[0]
		second.Name, second.Command = "second", []string{"sh", "-c", "trap 'exit 9' HUP; while true; do sleep 0.1; done"}
		p.Spec.Containers = append(p.Spec.Containers, second)
	}))
	first := b.isReady("shared")
	if out := b.output("shared", "cat", "/proc/1/cmdline", "/proc/1/comm"); out != "/pause\x00pause\n" {
		t.Errorf("process 1 is %q", out)
	}
	b.output("shared", "sh", "-c", "kill -TERM 1; kill -KILL 1; kill -HUP 1; true") // it obeys nobody in the Pod
	b.output("shared", "/witness", "orphans")
	b.eventually("orphans end and are reaped", func() bool {
		out := b.output("shared", "ps", "-o", "stat,args")
		return !strings.Contains(out, "sleep 0.2") && !strings.Contains(out, "Z")
	})

	pause := b.output("shared", "readlink", "/proc/self/ns/pid")
	b.killShim("shared")
	if again := b.output("shared", "readlink", "/proc/self/ns/pid"); again != pause {
		t.Errorf("after the shim's death the processes are in %s, before in %s", again, pause)
	}
	b.output("shared", "sh", "-c", "kill -HUP $(ps -o pid,args | awk '/[t]rap/ {print $1}')") // of the other container
	s := b.world.await(t, "default", "shared", "restarted once", 30*time.Second, func(s *corev1.PodStatus) bool { return ready(s) && restartsOf(s) == 1 })
	if last := statusOf(s, "second").LastTerminationState.Terminated; last == nil || last.ExitCode != 9 {
		t.Errorf("the signalled container ended with %v, want 9", last)
	}
	if statusOf(s, "main").ContainerID != statusOf(first, "main").ContainerID {
		t.Error("the other container was restarted as well")
	}
	if again := b.output("shared", "readlink", "/proc/self/ns/pid"); again != pause {
		t.Errorf("a restarted container is in %s, not in %s", again, pause)
	}

	if err := syscall.Kill(b.pauseOf("shared"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.world.await(t, "default", "shared", "started again", 60*time.Second, func(s *corev1.PodStatus) bool {
		c := statusOf(s, "main")
		return c.RestartCount == 1 && c.State.Running != nil
	})
	if again := b.output("shared", "readlink", "/proc/self/ns/pid"); again == pause {
		t.Error("the container is in a namespace without process 1")
	}
	if out := b.output("shared", "ps", "-o", "pid,args"); !strings.Contains(out, "1 /pause") || !strings.Contains(out, "/witness stay") {
		t.Errorf("the container has no new process 1:\n%s", out)
	}
	b.world.end(t, "default", "shared", 0)
	b.world.await(t, "default", "shared", "gone", 30*time.Second, gone)
}

func restartsOf(s *corev1.PodStatus) (n int32) {
	for i := range s.ContainerStatuses {
		n += s.ContainerStatuses[i].RestartCount
	}
	return n
}

func statusOf(s *corev1.PodStatus, name string) *corev1.ContainerStatus {
	for i := range s.ContainerStatuses {
		if s.ContainerStatuses[i].Name == name {
			return &s.ContainerStatuses[i]
		}
	}
	return &corev1.ContainerStatus{}
}

func (b *bed) eventually(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not in 30 s: %s", what)
		}
	}
}

func (b *bed) runDir(pod string) string {
	return b.cfg.pod("default", pod, b.world.World().Get(manifest.PodRef("default", pod)).UID).run
}

// killShim kills a Pod's shim and waits for the next.
func (b *bed) killShim(pod string) {
	b.t.Helper()
	dir := b.runDir(pod)
	hello, err := shim.New(dir).Hello(b.t.Context())
	if err == nil {
		err = syscall.Kill(hello.PID, syscall.SIGKILL)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.eventually("another shim", func() bool {
		next, err := shim.New(dir).Hello(b.t.Context())
		return err == nil && next.PID != hello.PID
	})
}

// pauseOf is the process on the node that is process 1 of a Pod.
func (b *bed) pauseOf(pod string) int {
	b.t.Helper()
	want, err := os.Readlink(shim.PIDPath(b.runDir(pod)))
	var st unix.Stat_t
	if err != nil && unix.Stat(shim.PIDPath(b.runDir(pod)), &st) == nil {
		want = fmt.Sprintf("pid:[%d]", st.Ino)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		space, _ := os.Readlink(filepath.Join("/proc", e.Name(), "ns", "pid"))
		if string(line) == "/pause\x00" && space == want {
			var pid int
			fmt.Sscan(e.Name(), &pid)
			return pid
		}
	}
	b.t.Fatalf("no process 1 in %s", want)
	return 0
}

// TestSecurity_OwnUsers: root of the Pod is nobody on the node, while files keep the users that they have in the Pod.
func TestSecurity_OwnUsers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	no, writer, group := false, int64(1000), int64(2000)
	own := func(name string) *corev1.Pod {
		return pod(name, witnessImage, func(p *corev1.Pod) {
			p.Spec.HostUsers = &no
			p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
			p.Spec.Volumes = []corev1.Volume{
				{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}},
			}
			c := &p.Spec.Containers[0]
			c.Command = []string{"/witness", "stay"}
			c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "config", MountPath: "/config"}}
			second := *c
			second.Name, second.SecurityContext = "second", &corev1.SecurityContext{RunAsUser: &writer}
			p.Spec.Containers = append(p.Spec.Containers, second)
		})
	}
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "settings"}, Data: map[string]string{"key": "value"}}
	b.world.adopt(t, b.cfg.Node, "c1", settings, own("one"), own("two"))
	seen := map[string]bool{}
	for _, name := range []string{"one", "two"} {
		b.isReady(name)
		users := strings.Join(strings.Fields(b.output(name, "cat", "/proc/self/uid_map")), " ")
		if seen[users] || !strings.HasPrefix(users, "0 ") || !strings.HasSuffix(users, " 65536") {
			t.Errorf("%s has the users %s", name, users)
		}
		seen[users] = true
	}
	if out := b.output("one", "sh", "-c", "cat /config/key; echo x >/data/root; chown 1000 /data/root; echo y >/own; stat -c '%u %g' /data/root /own /etc/passwd /witness"); out != "value1000 2000\n0 0\n0 0\n0 0\n" {
		t.Errorf("in the pod files belong to %q", out)
	}
	dir := b.cfg.pod("default", "one", b.world.World().Get(manifest.PodRef("default", "one")).UID)
	var st unix.Stat_t
	found, err := filepath.Glob(filepath.Join(dir.volumes(), "*", "*", "root"))
	if err != nil || len(found) != 1 {
		found, err = filepath.Glob(filepath.Join(dir.volumes(), "*", "root"))
	}
	if err != nil || len(found) != 1 || unix.Stat(found[0], &st) != nil || st.Uid != 1000 || st.Gid != 2000 {
		t.Errorf("on disk the volume's file %v belongs to %d:%d (%v), want 1000:2000 as in the pod", found, st.Uid, st.Gid, err)
	}
	for _, c := range b.containersOf("one") {
		info, err := os.Stat(fmt.Sprintf("/proc/%d", c.PID))
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid < 65536 {
			t.Errorf("container %s runs as user %d of the node", c.Name, uid)
		}
	}
	before := b.output("one", "cat", "/proc/self/uid_map")
	b.restart()
	b.killShim("one")
	b.eventually("the pod is taken over with its users", func() bool {
		var out strings.Builder
		code, err := b.r.Exec(t.Context(), ExecOptions{Namespace: "default", Pod: "one", Command: []string{"cat", "/proc/self/uid_map"}, Stdout: &out, Stderr: &out})
		if err == nil && code == 0 && out.String() != before {
			t.Fatalf("after restarts the users are %s, before %s", out.String(), before)
		}
		return err == nil && code == 0
	})
	if mode := mustStat(t, b.cfg.DataDir).Mode().Perm(); mode != 0o711 {
		t.Errorf("the data directory has mode %o", mode)
	}
	for _, e := range mustReadDir(t, b.cfg.DataDir) {
		if mode := mustStat(t, filepath.Join(b.cfg.DataDir, e.Name())).Mode().Perm(); e.Name() != "pods" && mode&0o077 != 0 {
			t.Errorf("%s in the data directory has mode %o", e.Name(), mode)
		}
	}
}

func (b *bed) containersOf(pod string) []shim.Container {
	b.t.Helper()
	found, err := shim.New(b.runDir(pod)).State(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return found.Containers
}

func mustStat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func mustReadDir(t *testing.T, path string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}
