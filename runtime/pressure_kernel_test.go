//go:build kernel

package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/manifest"
	"writ/runtime/pressure"
	"writ/runtime/usage"
	"writ/state"
)

// diskLimit bounds what each container of a Pod may take of the disk.
func diskLimit(size string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for i := range p.Spec.Containers {
			p.Spec.Containers[i].Resources.Limits = corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse(size)}
		}
	}
}

func all(changes ...func(*corev1.Pod)) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, change := range changes {
			change(p)
		}
	}
}

func mountX(p *corev1.Pod) {
	p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "x", MountPath: "/x"}}
}

func isEvicted(s *corev1.PodStatus) bool {
	return s.Phase == corev1.PodFailed && s.Reason == "Evicted"
}

// written waits until a Pod says that it is done writing, and has the guard look.
func (b *bed) written(name string) {
	b.t.Helper()
	b.isReady(name)
	b.r.guard.Ring()
}

func readyOnce(file string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"test", "-e", file}}}}
	}
}

const stay = "; touch /tmp/done /done; exec sleep 1000"

// Whoever takes more of the disk than it may is evicted in upstream's words, and gives it back at once.
func TestEvict_DiskLimits(t *testing.T) {
	b := newBed(t)
	tests := map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"volume": {pod("volume", busyboxImage, all(sh("dd if=/dev/zero of=/x/f bs=1M count=3"+stay), sizeLimit("1Mi"), mountX, readyOnce("/done"))),
			`Usage of EmptyDir volume "x" exceeds the limit "1Mi". `},
		"layer": {pod("layer", busyboxImage, all(sh("dd if=/dev/zero of=/f bs=1M count=12"+stay), func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "other", Image: busyboxImage, Command: []string{"sleep", "1000"}})
		}, diskLimit("10Mi"), readyOnce("/done"))), `Container main exceeded its local ephemeral storage limit "10Mi". `},
		"log": {pod("log", busyboxImage, all(sh("head -c 5m /dev/zero | tr '\\0' x | fold -w 1000"+stay), diskLimit("4Mi"), readyOnce("/done"))),
			"Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. "},
		"both": {pod("both", busyboxImage, all(sh("dd if=/dev/zero of=/f bs=1M count=3; dd if=/dev/zero of=/x/f bs=1M count=3"+stay), sizeLimit("5Mi"), mountX, diskLimit("5Mi"), readyOnce("/done"))),
			"Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. "},
	}
	within := pod("within", busyboxImage, all(sh("dd if=/dev/zero of=/f bs=1M count=3; dd if=/dev/zero of=/x/f bs=1M count=3"+stay), sizeLimit("5Mi"), mountX, diskLimit("20Mi")))
	objects := []manifest.Object{within}
	for _, tt := range tests {
		objects = append(objects, tt.pod)
	}
	b.world.adopt(t, b.cfg.Node, "c1", objects...)
	for name, tt := range tests {
		s := b.world.await(t, "default", name, "evicted", 40*time.Second, isEvicted)
		if s.Message != tt.want {
			t.Errorf("%s: message is %q, want %q", name, s.Message, tt.want)
		}
		if state.PodIs(s, corev1.PodReady) || s.ContainerStatuses[0].State.Terminated == nil {
			t.Errorf("%s: conditions %v and container %v, want not ready and terminated", name, s.Conditions, s.ContainerStatuses[0].State)
		}
		p := b.cfg.pod("default", name, b.world.World().Get(manifest.PodRef("default", name)).UID)
		b.awaitGone(p.data, p.run, p.logs)
	}
	if s := b.isReady("within"); s.Phase != corev1.PodRunning || s.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("the pod within its limits is %s with %d restarts", s.Phase, s.ContainerStatuses[0].RestartCount)
	}
	b.restart()
	for name := range tests {
		if s := b.world.status("default", name); !isEvicted(s) {
			t.Errorf("%s: after a restart it is %s %s", name, s.Phase, s.Reason)
		}
	}
}

// awaitGone waits for files to go. The kernel tells of no directory that goes with all above it: the World moves.
func (b *bed) awaitGone(names ...string) {
	b.t.Helper()
	end := time.Now().Add(20 * time.Second)
	for _, name := range names {
		for exists(name) {
			if time.Now().After(end) {
				b.t.Fatalf("%s is there still", name)
			}
			unix.Nanosleep(&unix.Timespec{Nsec: 2e7}, nil)
		}
	}
}

// groupLevels is a node whose memory is that of its own Pods' control group.
func groupLevels(node state.Node, memory int64) func() (pressure.Levels, error) {
	return func() (pressure.Levels, error) {
		g, err := usage.Cgroup("/writ-" + string(node))
		if err != nil {
			return nil, err
		}
		return pressure.Levels{pressure.MemoryAvailable: {Available: memory - g.Memory, Capacity: memory}}, nil
	}
}

// The one that takes more memory than it asked for goes; what asked for it, and what the system rests on, stays.
func TestEvict_NodeMemory(t *testing.T) {
	b := newBed(t)
	b.cfg.levels = groupLevels(b.cfg.Node, 300<<20)
	b.restart()
	keep := func(bytes int, request string, priority int32) func(*corev1.Pod) { // a shell that keeps what it read
		return all(sh(fmt.Sprintf("x=$(head -c %d /dev/zero | tr '\\0' x); touch /done; while sleep 1; do :; done", bytes)), func(p *corev1.Pod) {
			p.Spec.Priority = &priority
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(request)}
		})
	}
	n := &corev1.Node{}
	n.Name = string(b.cfg.Node)
	b.world.adopt(t, b.cfg.Node, "c1", n,
		pod("asked", busyboxImage, keep(60<<20, "200Mi", 0)),
		pod("system", busyboxImage, keep(40<<20, "1Mi", 2_000_000_000)),
		pod("hog", busyboxImage, keep(110<<20, "1Mi", 5)))
	s := b.world.await(t, "default", "hog", "evicted", 40*time.Second, isEvicted)
	t.Log(s.Message)
	if !strings.HasPrefix(s.Message, "The node was low on resource: memory. Threshold quantity: 100Mi, available: ") ||
		!strings.Contains(s.Message, ". Container main was using ") || !strings.HasSuffix(s.Message, ", request is 1Mi, has larger consumption of memory. ") {
		t.Errorf("message is %q", s.Message)
	}
	if !state.PodIs(s, corev1.DisruptionTarget) {
		t.Errorf("conditions are %v, want DisruptionTarget", s.Conditions)
	}
	for _, name := range []string{"asked", "system"} {
		if s := b.isReady(name); s.Phase != corev1.PodRunning {
			t.Errorf("%s is %s", name, s.Phase)
		}
	}
	for _, reason := range []string{"EvictionThresholdMet", "Evicted", "NodeHasInsufficientMemory"} {
		b.awaitEvent(reason, "")
	}
	st, _ := b.world.World().Get(manifest.NodeRef(n.Name)).Status.(*corev1.NodeStatus)
	if st == nil || st.Conditions[0].Status != corev1.ConditionTrue || st.Conditions[0].Reason != "KubeletHasInsufficientMemory" {
		t.Errorf("node status is %v, want MemoryPressure", st)
	}
}

// A node whose disk is small: a container fills it up, and goes once nothing else can.
func TestEvict_NodeDisk(t *testing.T) {
	build(t)
	dir := smallDisk(t, 400<<20)
	t.Setenv("TMPDIR", dir)
	b := newBed(t)
	b.cfg.Eviction.Hard = map[string]string{"nodefs.available": "50%"}
	b.restart()
	n := &corev1.Node{}
	n.Name = string(b.cfg.Node)
	b.world.adopt(t, b.cfg.Node, "c1", n, pod("small", busyboxImage, sh("dd if=/dev/zero of=/f bs=1M count=5"+stay)),
		pod("hog", busyboxImage, all(sh("dd if=/dev/zero of=/f bs=1M count=260"+stay), readyOnce("/done"))))
	b.written("hog")
	s := b.world.await(t, "default", "hog", "evicted", 40*time.Second, isEvicted)
	t.Log(s.Message)
	if !strings.HasPrefix(s.Message, "The node was low on resource: ephemeral-storage. Threshold quantity: ") ||
		!strings.HasSuffix(s.Message, "request is 0, has larger consumption of ephemeral-storage. ") {
		t.Errorf("message is %q", s.Message)
	}
	p := b.cfg.pod("default", "hog", b.world.World().Get(manifest.PodRef("default", "hog")).UID)
	b.awaitGone(p.data)
	if free, err := usage.Read(b.cfg.DataDir, b.cfg.DataDir); err != nil || free.Levels[pressure.NodeFsAvailable].Available < 200<<20 {
		t.Errorf("after the eviction the disk has %+v, %v", free.Levels[pressure.NodeFsAvailable], err)
	}
	if s := b.isReady("small"); s.Phase != corev1.PodRunning {
		t.Errorf("small is %s", s.Phase)
	}
	st, _ := b.world.World().Get(manifest.NodeRef(n.Name)).Status.(*corev1.NodeStatus)
	if st == nil || st.Conditions[1].Status != corev1.ConditionTrue || st.Conditions[1].Type != corev1.NodeDiskPressure {
		t.Errorf("node status is %v, want DiskPressure", st)
	}
}

// What is dead goes first, and if that is enough nobody has to go.
func TestReclaim_DeadContainersAreEnough(t *testing.T) {
	build(t)
	t.Setenv("TMPDIR", smallDisk(t, 400<<20))
	b := newBed(t)
	b.cfg.Eviction.Hard = map[string]string{"nodefs.available": "50%"}
	b.restart()
	n := &corev1.Node{}
	n.Name = string(b.cfg.Node)
	b.world.adopt(t, b.cfg.Node, "c1", n, pod("once", busyboxImage, all(
		sh("[ -e /x/ran ] && exec sleep 1000; touch /x/ran; dd if=/dev/zero of=/f bs=1M count=260; exit 1"), mountX, func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		})))
	b.world.await(t, "default", "once", "started again", 30*time.Second, func(s *corev1.PodStatus) bool { return ready(s) && s.ContainerStatuses[0].RestartCount == 1 })
	b.r.guard.Ring()
	b.awaitEvent("EvictionThresholdMet", "Attempting to reclaim ephemeral-storage")
	uid := b.world.World().Get(manifest.PodRef("default", "once")).UID
	p := b.cfg.pod("default", "once", uid)
	b.awaitGone(p.container(containerID(uid, "main", 0)))
	b.r.guard.Ring()
	b.awaitEvent("NodeHasDiskPressure", "")
	if s := b.isReady("once"); s.ContainerStatuses[0].RestartCount != 1 || s.ContainerStatuses[0].LastTerminationState.Terminated == nil {
		t.Errorf("status is %v, want what runs to go on and its last end to be known", s)
	}
	if b.saw("Evicted") {
		t.Error("a pod was evicted though its dead container was enough")
	}
	if out := b.output("once", "ls", "/x"); out != "ran\n" {
		t.Errorf("its volume holds %q", out)
	}
}

// smallDisk is a filesystem of its own, gone after the test.
func smallDisk(t *testing.T, size int64) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "smalldisk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=711", size)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return filepath.Clean(dir)
}
