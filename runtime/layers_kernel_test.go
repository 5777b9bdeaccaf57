//go:build kernel

package runtime

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"writ/manifest"
)

// Layers that a crash left shown below a Pod's folders are taken off, never deleted.
func TestPod_LayersOfACutOffStart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	layer := filepath.Join(b.dir, "layer")
	if err := os.Mkdir(layer, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(layer, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.world.adopt(t, b.cfg.Node, "c1", pod("web", busyboxImage, command("sleep", "1000")))
	b.isReady("web")
	p := b.cfg.pod("default", "web", b.world.World().Get(manifest.PodRef("default", "web")).UID)
	for _, stage := range []string{p.layers("0123456789abcdef"), p.volumeImage("tools") + layersSuffix} {
		dir := filepath.Join(stage, "0")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(layer, dir, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	}
	b.world.end(t, "default", "web", 0)
	b.world.await(t, "default", "web", "gone", 30*time.Second, gone)
	if !exists(filepath.Join(layer, "file")) {
		t.Error("the layer was deleted")
	}
	if exists(p.data) {
		t.Error("the pod's data is there still")
	}
}
