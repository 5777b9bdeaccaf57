//go:build kernel

package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/runtime/shim"
	"writ/state"
)

// power takes the daemon, all shims and all that runs in containers away at once, with what a boot empties:
// the run directory and mounts. World and data directory stay.
func (b *bed) power() {
	b.t.Helper()
	b.stop()
	b.killAll()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		b.t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], b.dir+"/") && !strings.HasPrefix(f[4], b.net.dir) {
			if err := unix.Unmount(f[4], unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
				b.t.Fatalf("unmount %s: %v", f[4], err)
			}
		}
	}
	if err := os.RemoveAll(b.cfg.RunDir); err != nil {
		b.t.Fatal(err)
	}
}

// killAll kills shims and containers.
func (b *bed) killAll() {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		left := b.processes()
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			b.t.Fatalf("processes %v do not end", left)
		}
		b.kill(left)
	}
}

func (b *bed) kill(pids []int) {
	b.t.Helper()
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			b.t.Fatal(err)
		}
	}
}

// processes are those in the cgroups of the node, dead ones not counted.
func (b *bed) processes() []int {
	b.t.Helper()
	seen := map[int]bool{}
	for _, root := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		_ = filepath.WalkDir(filepath.Join(root, b.cfg.cgroupRoot()), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil
			}
			data, _ := os.ReadFile(path)
			for _, text := range strings.Fields(string(data)) {
				pid, _ := strconv.Atoi(text)
				if stat, err := os.ReadFile("/proc/" + text + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
					seen[pid] = true
				}
			}
			return nil
		})
	}
	var out []int
	for pid := range seen {
		out = append(out, pid)
	}
	return out
}

// After a boot a Pod goes on as its policy says: it begins with its init containers, claims and disks of emptyDirs are as
// they were and those in memory are new; one that never restarts has failed; one that was done stays done.
func TestLife_NodeRestart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.bindClaim(t, b.cfg.Node, "data", "pvc-1")
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("web", busyboxImage, func(p *corev1.Pod) {
			mounts("data")(p)
			p.Spec.Volumes = append(p.Spec.Volumes, []corev1.Volume{
				{Name: "disk", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "mem", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
			}...)
			shown := append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "disk", MountPath: "/disk"}, corev1.VolumeMount{Name: "mem", MountPath: "/mem"})
			p.Spec.InitContainers = []corev1.Container{initial("one", "echo boot >>/disk/log; echo boot >>/mem/log; echo boot >>/data/log")}
			p.Spec.InitContainers[0].VolumeMounts = shown
			idle(p)
			p.Spec.Containers[0].VolumeMounts = shown
		}),
		pod("never", busyboxImage, func(p *corev1.Pod) { idle(p); p.Spec.RestartPolicy = corev1.RestartPolicyNever }),
		pod("done", busyboxImage, func(p *corev1.Pod) { sh("echo hello")(p); p.Spec.RestartPolicy = corev1.RestartPolicyNever }))
	b.isReady("web")
	b.isReady("never")
	done := func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodSucceeded }
	before := b.world.await(t, "default", "done", "done", patience, done).DeepCopy()
	b.power()
	b.up()
	s := b.world.await(t, "default", "web", "ready again", patience, func(s *corev1.PodStatus) bool { return ready(s) && main0(s).RestartCount == 1 })
	last := main0(s).LastTerminationState.Terminated
	if last == nil || last.ExitCode != 137 || last.Reason != shim.ReasonUnknown || initStatus(s, 0).RestartCount != 1 || initStatus(s, 0).State.Terminated == nil {
		t.Errorf("after a boot: %s", s)
	}
	if got := b.output("web", "sh", "-c", "cat /data/log; echo -; cat /disk/log; echo -; cat /mem/log"); got != "boot\nboot\n-\nboot\nboot\n-\nboot\n" {
		t.Errorf("claim and emptyDirs hold %q, want claim and disk as they were and the one in memory new", got)
	}
	b.awaitEvent("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
	s = b.world.await(t, "default", "never", "failed", patience, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodFailed })
	if c := main0(s); c.State.Terminated == nil || c.State.Terminated.Reason != shim.ReasonUnknown || c.RestartCount != 0 {
		t.Errorf("a pod that never restarts is %v after a boot", c)
	}
	s = b.world.await(t, "default", "done", "done", patience, done)
	if a, z := main0(before), main0(s); z.State.Terminated == nil || z.State.Terminated.Reason != "Completed" || z.RestartCount != a.RestartCount || z.ContainerID != a.ContainerID {
		t.Errorf("a pod that was done is %v after a boot, was %v", z, a)
	}
	if out := b.log1("done", LogOptions{Tail: -1}); out != "hello\n" {
		t.Errorf("its log is %q", out)
	}
	uid := b.world.World().Get(manifest.PodRef("default", "done")).UID
	if dir := b.cfg.pod("default", "done", uid).run; exists(dir) {
		t.Errorf("it has a sandbox again: %s", dir)
	}
	b.world.end(t, "default", "done", 5)
	b.world.await(t, "default", "done", "gone", patience, gone)
}

// All processes of a Pod and its shim die, and the node does not: containers are started again one by one, as
// one restart each, and what is in memory is still there.
func TestLife_AllProcessesLost(t *testing.T) {
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("web", busyboxImage, func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{initial("one", "echo one >>/trace/log")}
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: busyboxImage, Command: []string{"sh", "-c", "trap exit TERM; sleep 1000 & wait"}})
		idle(p)
		b.traced(p)
	}))
	before := b.isReady("web")
	ip := before.PodIP
	b.kill(b.processes()) // those that come after them stay
	s := b.world.await(t, "default", "web", "ready again", patience, func(s *corev1.PodStatus) bool {
		return ready(s) && main0(s).RestartCount == 1 && s.ContainerStatuses[1].RestartCount == 1
	})
	if last := main0(s).LastTerminationState.Terminated; last == nil || last.ExitCode != 137 || s.PodIP != ip {
		t.Errorf("after all of it was killed: %s", s)
	}
	if got := b.trace("web"); got != "one" {
		t.Errorf("init containers ran %q, want once", got)
	}
}

// A boot in the middle of an end: nothing is started again, the emptyDirs go with the Pod, and its claims keep their data.
func TestLife_NodeRestartInAnEnd(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	long := int64(600)
	b.world.bindClaim(t, b.cfg.Node, "data", "pvc-1")
	b.world.adopt(t, b.cfg.Node, "c1", pod("deaf", busyboxImage, func(p *corev1.Pod) {
		mounts("data")(p)
		command("sh", "-c", "echo kept >/data/log; exec sleep 1000")(p)
		p.Spec.TerminationGracePeriodSeconds = &long
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "disk", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "disk", MountPath: "/disk"})
	}))
	kept := filepath.Join(b.cfg.DataDir, "volumes", "pvc-1", "files", "log")
	b.eventually("the note of the container", func() bool { return exists(kept) })
	b.isReady("deaf")
	uid := b.world.World().Get(manifest.PodRef("default", "deaf")).UID
	b.world.end(t, "default", "deaf", long)
	b.awaitEvent("Killing", "Stopping container main")
	b.power()
	b.up()
	s := b.world.await(t, "default", "deaf", "gone", patience, gone)
	if c := main0(s); c.RestartCount != 0 || c.State.Terminated == nil || c.State.Terminated.ExitCode != 137 {
		t.Errorf("it ended as %v", c)
	}
	if dir := b.cfg.pod("default", "deaf", uid).data; exists(dir) {
		t.Errorf("%s is left", dir)
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "kept\n" {
		t.Errorf("its claim holds %q, %v", text, err)
	}
}

// The daemon and the shim die in the middle of an end, the containers do not: what was left of the grace is kept.
func TestLife_GraceIsKeptWithoutItsShim(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const grace = 6
	b.world.adopt(t, b.cfg.Node, "c1", pod("deaf", busyboxImage, func(p *corev1.Pod) { command("sleep", "1000")(p) }))
	b.isReady("deaf")
	uid := b.world.World().Get(manifest.PodRef("default", "deaf")).UID
	begun := time.Now()
	b.world.end(t, "default", "deaf", grace)
	b.awaitEvent("Killing", "Stopping container main")
	dir := b.cfg.pod("default", "deaf", uid).run
	hello, err := shim.New(dir).Hello(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.stop()
	if err := unix.Kill(hello.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.up()
	s := b.world.await(t, "default", "deaf", "gone", patience, gone)
	if took := time.Since(begun); took < grace*time.Second-100*time.Millisecond || took > 2*grace*time.Second-time.Second {
		t.Errorf("gone after %v, want %d s", took, grace)
	}
	if c := main0(s); c.State.Terminated == nil || c.State.Terminated.ExitCode != 137 || !state.PodIs(s, state.PodStopped) {
		t.Errorf("it ended as %v", c)
	}
}
