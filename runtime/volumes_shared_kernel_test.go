//go:build kernel

package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
)

// On a node whose mounts are shared, as systemd makes them, a hostPath with mounts below it takes
// none of them along when a container was made of it or ends; what the node mounts later is seen by who
// asks for that, and what a container mounts comes to the node where that is asked for.
func TestVolumes_SharedMounts(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	shared := privateMount(t, filepath.Join(b.dir, "shared"))
	if err := unix.Mount("", shared, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(shared, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	mount := func(dir string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "here"), []byte("yes"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mount(below)
	both, host, yes := corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, true
	show := func(mode *corev1.MountPropagationMode, privileged bool) func(*corev1.Pod) {
		return volumes(func(_ *corev1.Pod, c *corev1.Container) {
			c.VolumeMounts[0].MountPropagation = mode
			if privileged {
				c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
			}
		}, hostPath("host", shared))
	}
	b.world.adopt(t, b.cfg.Node, "c1", pod("none", busyboxImage, show(nil, false)), pod("slave", busyboxImage, show(&host, false)), pod("both", busyboxImage, show(&both, true)))
	stays := func(when string) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(below, "here")); string(got) != "yes" {
			t.Fatalf("%s the node's own mount is gone: %v", when, err)
		}
	}
	for _, name := range []string{"none", "slave", "both"} {
		b.isReady(name)
		b.prints(name, map[string]string{"cat /host/below/here": "yes"})
	}
	stays("after the start of containers")
	mount(filepath.Join(shared, "later"))
	const look = "cat /host/later/here 2>/dev/null; true"
	b.prints("none", map[string]string{look: ""})
	b.prints("slave", map[string]string{look: "yes"})
	b.output("both", "sh", "-c", "mkdir /host/from && mount -t tmpfs none /host/from && echo -n pod >/host/from/f")
	if got, err := os.ReadFile(filepath.Join(shared, "from", "f")); string(got) != "pod" {
		t.Errorf("what the container mounted is not on the node: %q, %v", got, err)
	}
	b.prints("slave", map[string]string{"cat /host/from/f": "pod"})
	for _, name := range []string{"none", "slave", "both"} {
		b.world.end(t, "default", name, 0)
		b.world.await(t, "default", name, "gone", waitLimit, gone)
	}
	stays("after the end of containers")
	unix.Unmount(filepath.Join(shared, "from"), unix.MNT_DETACH)
}

// What a container bound into its volume from the node is taken off before the volume is deleted.
func TestVolumes_DeletesNothingOfTheNode(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	precious := filepath.Join(b.dir, "precious")
	if err := os.MkdirAll(precious, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(precious, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	both, yes := corev1.MountPropagationBidirectional, true
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, volumes(func(_ *corev1.Pod, c *corev1.Container) {
		c.VolumeMounts[0].MountPropagation = &both
		c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	}, emptyDir("disk"), hostPath("host", precious))))
	b.isReady("app")
	b.output("app", "sh", "-c", "mkdir /disk/in && mount --bind /host /disk/in && test -e /disk/in/file")
	rec := b.world.World().Get(manifest.PodRef("default", "app"))
	disk := filepath.Join(b.cfg.pod("default", "app", rec.UID).volumes(), "disk")
	if _, err := os.Stat(filepath.Join(disk, "in", "file")); err != nil {
		t.Fatalf("the bind does not come to the node, so nothing is tested: %v", err)
	}
	b.world.end(t, "default", "app", 0)
	b.world.await(t, "default", "app", "gone", waitLimit, gone)
	if _, err := os.Stat(filepath.Join(precious, "file")); err != nil {
		t.Errorf("the node's file is gone: %v", err)
	}
	if table, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(table), disk) {
		t.Errorf("mounts are left below the volume, %v", err)
	}
}
