//go:build kernel

package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
)

// volumes gives a Pod's first container volumes at /NAME, and waits with sleep.
func volumes(change func(p *corev1.Pod, c *corev1.Container), list ...corev1.Volume) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		command("sleep", "1000")(p)
		p.Spec.Volumes = list
		c := &p.Spec.Containers[0]
		for _, v := range list {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: "/" + v.Name})
		}
		if change != nil {
			change(p, c)
		}
	}
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

func hostPath(name, path string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}}
}

const waitLimit = 30 * time.Second

// waiting is the reason and message of the first container that waits.
func (b *bed) waiting(name, reason string) string {
	b.t.Helper()
	s := b.world.await(b.t, "default", name, reason, 30*time.Second, func(s *corev1.PodStatus) bool {
		return len(s.ContainerStatuses) > 0 && s.ContainerStatuses[0].State.Waiting != nil && s.ContainerStatuses[0].State.Waiting.Reason == reason
	})
	return s.ContainerStatuses[0].State.Waiting.Message
}

// told waits for an event and returns its message.
func (b *bed) told(pod, reason string) string {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		b.mu.Lock()
		for _, e := range b.events {
			if e.Ref == manifest.PodRef("default", pod) && e.Reason == reason {
				b.mu.Unlock()
				return e.Message
			}
		}
		b.mu.Unlock()
		if time.Now().After(end) {
			b.t.Fatalf("no event %s of %s in 30 s", reason, pod)
		}
	}
}

func (b *bed) prints(pod string, want map[string]string) {
	b.t.Helper()
	for script, want := range want {
		if got := b.output(pod, "sh", "-c", script); got != want {
			b.t.Errorf("in %s: %s printed %q, want %q", pod, script, got, want)
		}
	}
}

// A subPath shows a part of its volume: made with the volume's own mode where there is
// none, a file or a folder, and as it was at the container's start.
func TestVolumes_SubPath(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	shown := filepath.Join(b.dir, "shown")
	if err := os.MkdirAll(filepath.Join(shown, "there"), 0o755); err != nil {
		t.Fatal(err)
	}
	group := int64(3000)
	b.world.adopt(t, b.cfg.Node, "c1",
		configMap("files", map[string]string{"a.txt": "one"}),
		pod("app", busyboxImage, volumes(func(p *corev1.Pod, c *corev1.Container) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
			sh("until test -e /disk/end; do sleep 0.1; done; rm /disk/end")(p)
			c.Env = []corev1.EnvVar{{Name: "WHO", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
			c.VolumeMounts = append(c.VolumeMounts,
				corev1.VolumeMount{Name: "disk", MountPath: "/new", SubPath: "x/y"},
				corev1.VolumeMount{Name: "disk", MountPath: "/mine", SubPathExpr: "of/$(WHO)"},
				corev1.VolumeMount{Name: "cm", MountPath: "/etc/one.txt", SubPath: "a.txt"},
				corev1.VolumeMount{Name: "host", MountPath: "/part", SubPath: "there", ReadOnly: true})
		}, emptyDir("disk"), hostPath("host", shown),
			corev1.Volume{Name: "cm", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "files"}}}})))
	b.isReady("app")
	b.prints("app", map[string]string{
		"stat -c %u:%g:%a /new /mine":                                    "0:3000:2777\n0:3000:2777\n",
		"echo a >/new/f; cat /disk/x/y/f":                                "a\n",
		"echo b >/mine/f; cat /disk/of/app/f":                            "b\n",
		"cat /etc/one.txt":                                               "one",
		"touch /etc/one.txt 2>/dev/null; echo $?":                        "1\n",
		"touch /part/x 2>/dev/null; echo $?; touch /host/seen; ls /host": "1\nseen\nthere\n",
	})
	b.world.adopt(t, b.cfg.Node, "c2", configMap("files", map[string]string{"a.txt": "two"}))
	for end := time.Now().Add(30 * time.Second); b.output("app", "cat", "/cm/a.txt") != "two"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the volume is not updated in 30 s")
		}
	}
	b.prints("app", map[string]string{"cat /etc/one.txt": "one"})
	b.output("app", "touch", "/disk/end")
	b.world.await(t, "default", "app", "restarted", 30*time.Second, func(s *corev1.PodStatus) bool {
		return s.ContainerStatuses[0].RestartCount == 1 && s.ContainerStatuses[0].Ready
	})
	b.prints("app", map[string]string{"cat /etc/one.txt": "two", "cat /new/f /mine/f": "a\nb\n"})
}

// Whatever a symbolic link in a volume says, a container sees its volume or does not start.
func TestVolumes_SubPathLeaves(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	shown := filepath.Join(b.dir, "shown")
	if err := os.MkdirAll(shown, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"out": "/etc", "up": "../..", "in": "real"} {
		if err := os.Symlink(to, filepath.Join(shown, name)); err != nil {
			t.Fatal(err)
		}
	}
	sub := func(s string) func(*corev1.Pod) {
		return volumes(func(_ *corev1.Pod, c *corev1.Container) { c.VolumeMounts[0].SubPath = s }, hostPath("host", shown))
	}
	if err := os.Mkdir(filepath.Join(shown, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.world.adopt(t, b.cfg.Node, "c1", pod("out", busyboxImage, sub("out")), pod("up", busyboxImage, sub("up/etc")), pod("in", busyboxImage, sub("in")),
		pod("expr", busyboxImage, volumes(func(_ *corev1.Pod, c *corev1.Container) {
			c.Env = []corev1.EnvVar{{Name: "P", Value: "../x"}}
			c.VolumeMounts[0].SubPathExpr = "$(P)"
		}, emptyDir("disk"))))
	b.isReady("in")
	for name, want := range map[string]string{
		"out":  `failed to prepare subPath for volumeMount "host" of container "main"`,
		"up":   `failed to prepare subPath for volumeMount "host" of container "main"`,
		"expr": "unable to provision SubPath `../x`: must not contain '..'",
	} {
		if got := b.waiting(name, "CreateContainerConfigError"); got != want {
			t.Errorf("%s waits with %q, want %q", name, got, want)
		}
		if got := b.told(name, "Failed"); got != "Error: "+want {
			t.Errorf("event of %s is %q", name, got)
		}
	}
}

// A link that is swapped while containers start never shows what is outside the volume.
func TestVolumes_SubPathSwapped(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	shown, outside := filepath.Join(b.dir, "shown"), filepath.Join(b.dir, "outside")
	for dir, text := range map[string]string{filepath.Join(shown, "inside"): "inside", outside: "outside"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "which"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stop, swapped := make(chan struct{}), make(chan int)
	go func() { // what a container of the volume would do
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				swapped <- n
				return
			default:
			}
			to := []string{"inside", outside, "../outside"}[n%3]
			next := filepath.Join(shown, "next")
			os.Remove(next)
			if os.Symlink(to, next) == nil {
				os.Rename(next, filepath.Join(shown, "sub"))
			}
		}
	}()
	var pods []manifest.Object
	for i := range 12 {
		pods = append(pods, pod(fmt.Sprintf("p%d", i), busyboxImage, volumes(func(_ *corev1.Pod, c *corev1.Container) {
			c.VolumeMounts[0].SubPath = "sub"
		}, hostPath("host", shown))))
	}
	b.world.adopt(t, b.cfg.Node, "c1", pods...)
	started, refused := 0, 0
	for i := range pods {
		name := fmt.Sprintf("p%d", i)
		s := b.world.await(t, "default", name, "started or refused", 30*time.Second, func(s *corev1.PodStatus) bool {
			return len(s.ContainerStatuses) > 0 && (s.ContainerStatuses[0].State.Running != nil ||
				s.ContainerStatuses[0].State.Waiting != nil && s.ContainerStatuses[0].State.Waiting.Reason == "CreateContainerConfigError")
		})
		if s.ContainerStatuses[0].State.Running == nil {
			refused++
			continue
		}
		started++
		if got := b.output(name, "cat", "/host/which"); got != "inside" {
			t.Errorf("%s sees %q of the node, want its volume", name, got)
		}
	}
	close(stop)
	n := <-swapped
	t.Logf("%d swaps, %d pods started, %d refused", n, started, refused)
	if n < 100 || started+refused != len(pods) {
		t.Errorf("%d swaps and %d pods, want at least 100 and %d", n, started+refused, len(pods))
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("outside the volume lie %v, %v, want one file", left, err)
	}
}

func secret(name string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

// printsSoon waits until a script in a Pod prints something.
func (b *bed) printsSoon(pod, script, want string) {
	b.t.Helper()
	for end := time.Now().Add(waitLimit); ; time.Sleep(20 * time.Millisecond) {
		got := b.output(pod, "sh", "-c", script+"; true")
		if got == want {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("in %s: %s prints %q after %v, want %q", pod, script, got, waitLimit, want)
		}
	}
}
