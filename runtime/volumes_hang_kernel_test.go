//go:build kernel

package runtime

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/runtime/usage"
)

// deadMount is a file system whose server takes no request: whoever asks it anything
// waits. A process of its own holds the server's side and ends by itself, whatever becomes of
// the test's. end makes every request fail and takes the mount away.
func deadMount(t *testing.T, dir string) (end func()) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("the kernel has no FUSE: %v", err)
	}
	holder := exec.Command("sleep", "120")
	holder.ExtraFiles = []*os.File{server}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("dead", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server.Fd())); err != nil {
		t.Fatal(err)
	}
	server.Close()
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		holder.Process.Kill()
		holder.Wait()
		unix.Unmount(dir, unix.MNT_DETACH)
	}
	t.Cleanup(end)
	return end
}

// A volume on a dead file system holds its own Pods back and nothing else: others start and
// stop, the daemon ends and starts again, and when the file system is gone the Pods run.
func TestVolumes_DeadFileSystem(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dir := filepath.Join(b.dir, "net", "export")
	end := deadMount(t, dir)
	objects := []manifest.Object{pod("alive", busyboxImage, command("sleep", "1000"))}
	for i := range 4 {
		objects = append(objects, pod(fmt.Sprintf("dead%d", i), busyboxImage, volumes(nil, hostPath("share", filepath.Join(dir, "data")))))
	}
	b.world.adopt(t, b.cfg.Node, "c1", objects...)
	b.isReady("alive")
	for i := range 4 {
		got := b.told(fmt.Sprintf("dead%d", i), "FailedMount")
		if want := `MountVolume.SetUp failed for volume "share" : hostPath ` + dir + "/data does not answer: a call made at "; !strings.HasPrefix(got, want) {
			t.Errorf("event is %q, want %q...", got, want)
		}
	}
	if n := b.r.calls.Hung(); n != 1 {
		t.Errorf("%d calls are out, want 1 for all Pods of the path", n)
	}
	if s := b.world.status("default", "dead0"); s.Phase != corev1.PodPending {
		t.Errorf("phase is %s, want Pending", s.Phase)
	}
	b.world.end(t, "default", "alive", 1)
	b.world.await(t, "default", "alive", "gone", 30*time.Second, gone)
	b.world.end(t, "default", "dead0", 1)
	b.world.await(t, "default", "dead0", "gone", 30*time.Second, gone)

	begun := time.Now()
	b.restart()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the daemon took %v to end and start", took)
	}
	b.world.adopt(t, b.cfg.Node, "c2", pod("later", busyboxImage, command("sleep", "1000")))
	b.isReady("later")
	end()
	for i := 1; i < 4; i++ {
		b.world.await(t, "default", fmt.Sprintf("dead%d", i), "ready once the file system is gone", 60*time.Second, ready)
	}
	if n := b.r.calls.Hung(); n != 0 {
		t.Errorf("%d calls are out, want none", n)
	}
}

// What a container mounted in a volume of its Pod is taken off at the end, even if it is dead.
func TestVolumes_DeadFileSystemInAVolume(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, volumes(nil, emptyDir("disk"))))
	b.isReady("app")
	rec := b.world.World().Get(manifest.PodRef("default", "app"))
	disk := filepath.Join(b.cfg.pod("default", "app", rec.UID).volumes(), "disk")
	deadMount(t, filepath.Join(disk, "a", "b"))
	measured := make(chan error, 1)
	go func() {
		_, err := usage.Disk(t.Context(), disk, false)
		measured <- err
	}()
	select {
	case err := <-measured:
		if err != nil {
			t.Errorf("measure the volume: %v", err)
		}
	case <-time.After(waitLimit):
		t.Error("measuring the volume waits for what is mounted in it")
	}
	b.world.end(t, "default", "app", 1)
	b.world.await(t, "default", "app", "gone", 30*time.Second, gone)
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(table), disk) {
		t.Error("the dead mount is still there")
	}
}

// A file system that dies under a running container holds back its restart, not the Pod's end.
func TestVolumes_DeadFileSystemLater(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dir := filepath.Join(b.dir, "export")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, volumes(func(p *corev1.Pod, _ *corev1.Container) {
		sh("until test -e /disk/end; do sleep 0.1; done; rm /disk/end")(p)
	}, hostPath("share", dir), emptyDir("disk"))))
	b.isReady("app")
	end := deadMount(t, dir)
	b.output("app", "touch", "/disk/end")
	if got, want := b.waiting("app", "CreateContainerError"), "hostPath "+dir+" does not answer: a call made at "; !strings.HasPrefix(got, want) {
		t.Errorf("message is %q, want %q...", got, want)
	}
	end()
	b.world.await(t, "default", "app", "running again", waitLimit, func(s *corev1.PodStatus) bool {
		return s.ContainerStatuses[0].State.Running != nil && s.ContainerStatuses[0].RestartCount == 1
	})
	deadMount(t, dir)
	b.world.end(t, "default", "app", 1)
	b.world.await(t, "default", "app", "gone", waitLimit, gone)
}
