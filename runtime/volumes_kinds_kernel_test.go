//go:build kernel

package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/manifest"
)

// An image as a volume: its files, read-only, not to be run, whole or a part; pulled as a container's
// image is, so that one that is missing is told in the same words.
func TestVolumes_Image(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	ofImage := func(name, ref string, policy corev1.PullPolicy) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: ref, PullPolicy: policy}}}
	}
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("app", busyboxImage, volumes(func(_ *corev1.Pod, c *corev1.Container) {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "img", MountPath: "/part", SubPath: "bin"})
		}, ofImage("img", busyboxImage, corev1.PullIfNotPresent), ofImage("demo", demoImage, corev1.PullIfNotPresent))),
		pod("never", busyboxImage, volumes(nil, ofImage("img", "writ.example/none:1", corev1.PullNever))))
	b.isReady("app")
	b.prints("app", map[string]string{
		"ls /img/bin/sh /part/sh":                    "/img/bin/sh\n/part/sh\n",
		"touch /img/x 2>/dev/null; echo $?":          "1\n",
		"/part/sh -c true 2>/dev/null; echo $?":      "126\n",
		"/img/bin/busybox true 2>/dev/null; echo $?": "126\n",
	})
	if got, want := b.waiting("never", "ErrImageNeverPull"), `Container image "writ.example/none:1" is not present with pull policy of Never`; got != want {
		t.Errorf("message is %q, want %q", got, want)
	}
	rec := b.world.World().Get(manifest.PodRef("default", "app"))
	dir := b.cfg.pod("default", "app", rec.UID).volumes()
	b.restart()
	b.isReady("app")
	kept := func() bool {
		for _, l := range b.r.Images() {
			if slices.Contains(l.Refs, demoImage) && slices.Contains(l.Pinned, "pod default/app") {
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(waitLimit); !kept(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the image of a mounted volume is not kept after a restart: %+v", b.r.Images())
		}
	}
	b.world.end(t, "default", "app", 0)
	b.world.await(t, "default", "app", "gone", waitLimit, gone)
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("the volumes are left: %v", err)
	}
}

// What a privileged container mounts in a volume, others of the Pod see that ask for it.
func TestVolumes_Propagation(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	both, host, yes := corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, true
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, volumes(func(p *corev1.Pod, c *corev1.Container) {
		see, blind := *c.DeepCopy(), *c.DeepCopy()
		see.Name, see.VolumeMounts[0].MountPropagation = "see", &host
		blind.Name = "blind"
		c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
		c.VolumeMounts[0].MountPropagation = &both
		p.Spec.Containers = append(p.Spec.Containers, see, blind)
	}, emptyDir("disk"))),
		pod("refused", busyboxImage, volumes(func(_ *corev1.Pod, c *corev1.Container) {
			c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
			c.VolumeMounts[0].MountPropagation = &both
		}, hostPath("host", privateMount(t, filepath.Join(b.dir, "private"))))))
	b.isReady("app")
	b.output("app", "sh", "-c", "mkdir /disk/m && mount -t tmpfs none /disk/m && echo there >/disk/m/f")
	for container, want := range map[string]string{"see": "there\n", "blind": ""} {
		var out strings.Builder
		_, err := b.r.Exec(t.Context(), ExecOptions{Namespace: "default", Pod: "app", Container: container, Command: []string{"sh", "-c", "cat /disk/m/f 2>/dev/null"}, Stdout: &out})
		if err != nil || out.String() != want {
			t.Errorf("container %s sees %q, %v, want %q", container, out.String(), err, want)
		}
	}
	private := filepath.Join(b.dir, "private")
	if got, want := b.waiting("refused", "CreateContainerError"), fmt.Sprintf("path %q is mounted on %q but it is not a shared mount", private, private); got != want {
		t.Errorf("message is %q, want %q", got, want)
	}
	b.world.end(t, "default", "app", 1)
	b.world.await(t, "default", "app", "gone", waitLimit, gone)
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(table), "/disk/m ") {
		t.Errorf("what the container mounted is left, %v", err)
	}
}

func privateMount(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	if err := unix.Mount("", dir, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Read-only holds for what is mounted below a volume only where that is asked for, and the status says so.
func TestVolumes_RecursiveReadOnly(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	shown := filepath.Join(b.dir, "shown")
	privateMount(t, filepath.Join(shown, "below"))
	enabled, possible := corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, volumes(func(_ *corev1.Pod, c *corev1.Container) {
		c.VolumeMounts = []corev1.VolumeMount{{Name: "host", MountPath: "/ro", ReadOnly: true}, {Name: "host", MountPath: "/rro", ReadOnly: true, RecursiveReadOnly: &enabled},
			{Name: "host", MountPath: "/if", ReadOnly: true, RecursiveReadOnly: &possible}, {Name: "host", MountPath: "/rw"}}
	}, hostPath("host", shown))))
	s := b.isReady("app")
	b.prints("app", map[string]string{
		"touch /ro/x 2>/dev/null || touch /ro/below/x; echo $?": "0\n",
		"touch /rro/below/x 2>/dev/null; echo $?":               "1\n",
		"touch /rro/x 2>/dev/null; echo $?":                     "1\n",
		"touch /if/below/x 2>/dev/null; echo $?":                "1\n",
		"touch /rw/x /rw/below/y; echo $?":                      "0\n",
	})
	var got []string
	for _, m := range s.ContainerStatuses[0].VolumeMounts {
		mode := "-"
		if m.RecursiveReadOnly != nil {
			mode = string(*m.RecursiveReadOnly)
		}
		got = append(got, fmt.Sprintf("%s %v %s", m.MountPath, m.ReadOnly, mode))
	}
	if want := "/ro true Disabled, /rro true Enabled, /if true Enabled, /rw false -"; strings.Join(got, ", ") != want {
		t.Errorf("status says %q, want %q", strings.Join(got, ", "), want)
	}
}

// What a volume of the node is not, or what its kernel has not, is told in upstream's words, and the
// rest of the node goes on.
func TestVolumes_NotThere(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	at := func(name string) string { return filepath.Join(b.dir, name) }
	if err := os.MkdirAll(at("dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	typed := func(path string, kind corev1.HostPathType) corev1.Volume {
		v := hostPath("v", at(path))
		v.HostPath.Type = &kind
		return v
	}
	huge := corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumHugePages}}}
	want := map[string]string{}
	var objects []manifest.Object
	for name, tt := range map[string]struct {
		v    corev1.Volume
		want string
	}{
		"directory": {typed("file", corev1.HostPathDirectory), fmt.Sprintf("hostPath type check failed: %s is not a directory", at("file"))},
		"file":      {typed("dir", corev1.HostPathFile), fmt.Sprintf("hostPath type check failed: %s is not a file", at("dir"))},
		"absent":    {typed("none", corev1.HostPathDirectory), fmt.Sprintf("hostPath type check failed: %s is not a directory", at("none"))},
		"orcreate":  {typed("dir", corev1.HostPathFileOrCreate), fmt.Sprintf("hostPath type check failed: %s is not a file", at("dir"))},
		"socket":    {typed("file", corev1.HostPathSocket), fmt.Sprintf("hostPath type check failed: %s is not a socket file", at("file"))},
		"char":      {typed("file", corev1.HostPathCharDev), fmt.Sprintf("hostPath type check failed: %s is not a character device", at("file"))},
		"block":     {typed("file", corev1.HostPathBlockDev), fmt.Sprintf("hostPath type check failed: %s is not a block device", at("file"))},
		"missing":   {corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}}}}, `configmap "none" not found`},
		"huge":      {huge, "medium HugePages: hugePages storage requested, but there is no resource request for huge pages"},
	} {
		want[name] = `MountVolume.SetUp failed for volume "v" : ` + tt.want
		objects = append(objects, pod(name, busyboxImage, volumes(nil, tt.v)))
	}
	objects = append(objects, pod("fine", busyboxImage, command("sleep", "1000")))
	nfs := corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "127.0.0.1", Path: "/export"}}}
	objects = append(objects, pod("nfs", busyboxImage, volumes(nil, nfs)))
	b.world.adopt(t, b.cfg.Node, "c1", objects...)
	b.isReady("fine")
	for name, want := range want {
		if got := b.told(name, "FailedMount"); got != want {
			t.Errorf("%s: event is %q, want %q", name, got, want)
		}
	}
	if got := b.told("nfs", "FailedMount"); !strings.HasPrefix(got, `MountVolume.SetUp failed for volume "v" : mount failed: 127.0.0.1:/export: `) {
		t.Errorf("nfs: event is %q", got)
	}
}

// Devices and sockets of the node, and memory in huge pages where it has them.
func TestVolumes_KindsOfFiles(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	kind := corev1.HostPathCharDev
	null := hostPath("null", "/dev/null")
	null.HostPath.Type = &kind
	create := corev1.HostPathFileOrCreate
	file := hostPath("file", filepath.Join(b.dir, "made"))
	file.HostPath.Type = &create
	list := []corev1.Volume{null, file}
	_, err := os.Stat("/sys/kernel/mm/hugepages/hugepages-2048kB")
	if err == nil {
		list = append(list, corev1.Volume{Name: "huge", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "HugePages-2Mi"}}})
	}
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, volumes(func(p *corev1.Pod, c *corev1.Container) {
		if len(list) == 3 {
			c.Resources.Requests = corev1.ResourceList{"hugepages-2Mi": resource.MustParse("2Mi"), corev1.ResourceMemory: resource.MustParse("16Mi")}
			c.Resources.Limits = c.Resources.Requests
		}
	}, list...)))
	b.isReady("app")
	b.prints("app", map[string]string{"stat -c %F /null": "character special file\n", "echo x >/file; cat /file": "x\n"})
	if len(list) == 3 {
		b.prints("app", map[string]string{"grep -c ' /huge hugetlbfs .*pagesize=2M' /proc/mounts": "1\n"})
	}
}
