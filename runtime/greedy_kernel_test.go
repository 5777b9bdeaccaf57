//go:build kernel

package runtime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/manifest"
	"writ/runtime/guard"
	"writ/runtime/shim/crilog"
	"writ/runtime/usage"
)

// healthy says that the node still makes and answers for Pods.
func (b *bed) healthy(name string) {
	b.t.Helper()
	if out := b.output(name, "echo", "here"); out != "here\n" {
		b.t.Errorf("%s answers %q", name, out)
	}
}

// A container that forks without end gets no more processes than its Pod may have; others go on.
func TestGreedy_Processes(t *testing.T) {
	b := newBed(t)
	b.cfg.PIDsLimit = 30
	b.restart()
	b.world.adopt(t, b.cfg.Node, "c1", pod("quiet", busyboxImage, command("sleep", "1000")),
		pod("bomb", busyboxImage, sh("f() { sleep 1000 & sleep 1000 & f; }; while :; do (f); sleep 1; done")))
	b.isReady("quiet")
	b.awaitLog("bomb", "can't fork")
	uid := b.world.World().Get(manifest.PodRef("default", "bomb")).UID
	if g, err := usage.Cgroup(b.cfg.cgroup(uid)); err != nil || g.PIDs > 30 {
		t.Errorf("the pod has %d processes (%v), want at most 30", g.PIDs, err)
	}
	b.healthy("quiet")
	b.world.end(t, "default", "bomb", 1)
	b.world.await(t, "default", "bomb", "gone", 30*time.Second, gone)
}

// awaitLog waits until a container logged a text.
func (b *bed) awaitLog(name, text string) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; unix.Nanosleep(&unix.Timespec{Nsec: 5e7}, nil) {
		var out strings.Builder
		_ = b.r.Logs(b.t.Context(), "default", name, "", LogOptions{Tail: -1}, &out) // it may not have begun
		if strings.Contains(out.String(), text) {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s does not log %q but\n%.2000s", name, text, out.String())
		}
	}
}

// A container that takes more memory than it may is killed, says so, and backs off.
func TestGreedy_Memory(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("quiet", busyboxImage, command("sleep", "1000")),
		pod("hog", busyboxImage, all(sh("x=$(head -c 100000000 /dev/zero | tr '\\0' x); sleep 1000"), func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("24Mi")}
		})))
	s := b.world.await(t, "default", "hog", "in its back-off", 30*time.Second, func(s *corev1.PodStatus) bool {
		return len(s.ContainerStatuses) == 1 && s.ContainerStatuses[0].State.Waiting != nil && s.ContainerStatuses[0].State.Waiting.Reason == "CrashLoopBackOff"
	})
	c := s.ContainerStatuses[0]
	if end := c.LastTerminationState.Terminated; end == nil || end.Reason != "OOMKilled" || end.ExitCode != 137 || c.RestartCount < 1 {
		t.Errorf("it ended with %v after %d restarts, want OOMKilled 137", end, c.RestartCount)
	}
	b.isReady("quiet")
	b.healthy("quiet")
}

// A line without end, and lines as fast as they come: the disk that they take is bounded, and the daemon has
// nothing to do with it.
func TestGreedy_Logs(t *testing.T) {
	for name, script := range map[string]string{"line": "exec tr '\\0' x < /dev/zero", "lines": "exec yes 0123456789012345678901234567890123456789"} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.cfg.LogMaxSize, b.cfg.LogMaxFiles = 1<<20, 3
			b.restart()
			b.world.adopt(t, b.cfg.Node, "c1", pod("quiet", busyboxImage, command("sleep", "1000")), pod("loud", busyboxImage, sh(script)))
			b.isReady("loud")
			b.isReady("quiet")
			p := b.cfg.pod("default", "loud", b.world.World().Get(manifest.PodRef("default", "loud")).UID)
			current := filepath.Join(p.logs, "main", "0.log")
			most, rotated := int64(0), ""
			before, begun := cpu(t, unix.RUSAGE_SELF), time.Now()
			for turns := 0; turns < 20; { // twenty times full and rotated
				u, err := usage.Disk(t.Context(), p.logs, false)
				if err != nil {
					t.Fatal(err)
				}
				most = max(most, u.Bytes)
				if old := crilog.Rotated(current); len(old) > 0 && old[len(old)-1] != rotated {
					rotated = old[len(old)-1]
					turns++
				}
				if time.Since(begun) > 40*time.Second {
					t.Fatal("it is not rotated")
				}
			}
			took := time.Since(begun)
			t.Logf("20 rotations in %v; daemon (with this test's own looking) %v of CPU; most on disk %d bytes", took, cpu(t, unix.RUSAGE_SELF)-before, most)
			if limit := int64(4<<20 + 64<<10); most > limit { // three files, and the one that is about to go
				t.Errorf("the logs took %d bytes, want at most %d", most, limit)
			}
			b.healthy("quiet")
			b.idle(p)
		})
	}
}

// idle looks that the daemon does nothing while a container is loud and nobody looks.
func (b *bed) idle(p podPaths) {
	b.t.Helper()
	const window = 2 * time.Second
	shimPID := b.shimOf(p)
	own, theirs := cpu(b.t, unix.RUSAGE_SELF), cpuOf(b.t, shimPID)
	unix.Nanosleep(&unix.Timespec{Sec: int64(window / time.Second)}, nil)
	own, theirs = cpu(b.t, unix.RUSAGE_SELF)-own, cpuOf(b.t, shimPID)-theirs
	b.t.Logf("in %v: daemon %v of CPU, shim %v", window, own, theirs)
	if own > window/10 {
		b.t.Errorf("in %v the daemon took %v of CPU for what a container prints", window, own)
	}
}

func (b *bed) shimOf(p podPaths) int {
	b.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), p.run) {
			return pid
		}
	}
	b.t.Fatalf("no shim of %s", p.run)
	return 0
}

func cpu(t testing.TB, who int) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf is what a process took, in ticks of a hundredth.
func cpuOf(t testing.TB, pid int) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// What an idle node costs: twenty Pods, none of which may use only so much, over a look of the guard.
func TestGuard_IdleNode(t *testing.T) {
	b := newBed(t)
	var objects []manifest.Object
	for i := range 20 {
		objects = append(objects, pod(fmt.Sprintf("p%d", i), busyboxImage, command("sleep", "1000")))
	}
	b.world.adopt(t, b.cfg.Node, "c1", objects...)
	for i := range 20 {
		b.isReady(fmt.Sprintf("p%d", i))
	}
	const window = 11 * time.Second
	before := cpu(t, unix.RUSAGE_SELF)
	unix.Nanosleep(&unix.Timespec{Sec: int64(window / time.Second)}, nil)
	took := cpu(t, unix.RUSAGE_SELF) - before
	t.Logf("an idle daemon with 20 pods took %v of CPU in %v: %.3f %% of a core", took, window, 100*took.Seconds()/window.Seconds())
	if took > window/100 {
		t.Errorf("that is more than a hundredth")
	}
}

// The kernel tells when somebody waits for memory, here a container that reads more than it may keep.
func TestGuard_StallsAreTold(t *testing.T) {
	b := newBed(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told, failed := make(chan bool, 1), make(chan error, 1)
	go func() {
		failed <- guard.WatchStalls(ctx, func() {
			select {
			case told <- true:
			default:
			}
		})
	}()
	b.world.adopt(t, b.cfg.Node, "c1", pod("thrash", busyboxImage, all(
		sh("dd if=/dev/zero of=/f bs=1M count=64; while :; do cat /f /f /f > /dev/null & cat /f /f > /dev/null & wait; done"), func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("10Mi")}
		})))
	select {
	case <-told:
	case err := <-failed:
		t.Skipf("this kernel does not tell: %v", err)
	case <-time.After(30 * time.Second):
		t.Error("nobody was told of a stall")
	}
}
