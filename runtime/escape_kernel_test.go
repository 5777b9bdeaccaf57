//go:build kernel

package runtime

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestSecurity_NoWayOut: what shares something with the node still does not get at what is the daemon's, or the kernel's.
func TestSecurity_NoWayOut(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	hostPath := func(path string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}}}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "node", MountPath: "/node"}}
		}
	}
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("plain", witnessImage, sh("sleep 1000")),
		pod("pids", witnessImage, func(p *corev1.Pod) { sh("sleep 1000")(p); p.Spec.HostPID = true }),
		pod("network", witnessImage, func(p *corev1.Pod) { sh("sleep 1000")(p); p.Spec.HostNetwork = true }),
		pod("above", witnessImage, func(p *corev1.Pod) { sh("sleep 1000")(p); hostPath(b.dir)(p) }),
		pod("data", witnessImage, func(p *corev1.Pod) { sh("sleep 1000")(p); hostPath(filepath.Join(b.cfg.DataDir, "pods"))(p) }),
		pod("run", witnessImage, func(p *corev1.Pod) { sh("sleep 1000")(p); hostPath(b.cfg.RunDir)(p) }),
	)
	for _, name := range []string{"plain", "pids", "network", "above"} {
		b.isReady(name)
	}
	for _, try := range []struct{ pod, script string }{
		{"plain", "echo x >/proc/sys/kernel/core_pattern"},
		{"plain", "echo x >/proc/sys/kernel/hostname"},
		{"plain", "echo b >/proc/sysrq-trigger"},
		{"plain", "mount -t proc none /tmp"},
		{"plain", "mount -o remount,rw /proc/sys"},
		{"plain", "umount /proc/kcore || umount /proc/sys"},
		{"plain", "mkdir /sys/fs/cgroup/memory/x || mkdir /sys/fs/cgroup/x/y"},
		{"plain", "nsenter -t 1 -m true"},
		{"plain", "mknod /tmp/disk b 8 0 && dd if=/tmp/disk of=/dev/null bs=1 count=1"},
		{"pids", "ls /proc/1/root/"},
		{"pids", "cat /proc/1/environ"},
		{"pids", "nsenter -t 1 -m true"},
		{"network", "hostname other"},
		{"network", "ip link add veth0 type veth"},
		{"above", "ls /node/data/pods/*"},
		{"above", "ls /node/run/pods/*"},
	} {
		var out strings.Builder
		code, err := b.r.Exec(t.Context(), ExecOptions{Namespace: "default", Pod: try.pod, Command: []string{"sh", "-c", "(" + try.script + ") 2>&1"}, Stdout: &out, Stderr: &out})
		if err != nil || code == 0 {
			t.Errorf("in %s %q is possible (%v): %s", try.pod, try.script, err, out.String())
		}
	}
	if out := b.output("network", "cat", "/proc/net/unix"); strings.Contains(out, "@") && (strings.Contains(out, "@writ") || strings.Contains(out, "@"+b.dir)) {
		t.Errorf("there are abstract sockets of the daemon:\n%s", out)
	}
	for _, name := range []string{"data", "run"} {
		b.world.await(t, "default", name, "held back", 30*time.Second, func(s *corev1.PodStatus) bool { return b.warned(name, "FailedMount") || b.warned(name, "Failed") })
		if s := b.world.status("default", name); s.Phase != corev1.PodPending {
			t.Errorf("%s is %s: a hostPath in the daemon's own directories", name, s.Phase)
		}
	}
}
