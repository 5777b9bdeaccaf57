//go:build kernel

package runtime

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/cgroups"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/runtime/oci"
)

// cgroupFile is one number of a cgroup, by controller and name, in either hierarchy.
type cgroupFile struct{ v1, v2 string }

var (
	cpuShares   = cgroupFile{"cpu/cpu.shares", "cpu.weight"}
	cpuQuota    = cgroupFile{"cpu/cpu.cfs_quota_us", "cpu.max"}
	memoryLimit = cgroupFile{"memory/memory.limit_in_bytes", "memory.max"}
	withSwap    = cgroupFile{"memory/memory.memsw.limit_in_bytes", "memory.swap.max"}
	pidsMax     = cgroupFile{"pids/pids.max", "pids.max"}
)

func (f cgroupFile) in(b *bed) string {
	if b.r.machine.CgroupV2 {
		return f.v2
	}
	return f.v1
}

// inside reads a file of the cgroup that a container sees as its own.
func (b *bed) inside(name string, f cgroupFile) string {
	b.t.Helper()
	return strings.TrimSpace(b.output(name, "cat", "/sys/fs/cgroup/"+f.in(b)))
}

// ofPod reads a file of a Pod's own cgroup.
func (b *bed) ofPod(name string, f cgroupFile) string {
	b.t.Helper()
	rec := b.world.World().Get(manifest.PodRef("default", name))
	controller, file := filepath.Split(f.in(b))
	data, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", controller, b.cfg.cgroup(rec.UID), file))
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// said is a number of cgroup v1 as this machine's cgroups say it. A Pod's own cgroup bounds no swap in v2.
func (b *bed) said(f cgroupFile, ofPod bool, number string) string {
	if !b.r.machine.CgroupV2 {
		return number
	}
	switch f {
	case cpuShares:
		shares, _ := strconv.ParseUint(number, 10, 64)
		return strconv.FormatUint(cgroups.ConvertCPUSharesToCgroupV2Value(shares), 10)
	case cpuQuota:
		return strings.Replace(number, "-1", "max", 1) + " 100000"
	case withSwap:
		if ofPod {
			return "max"
		}
		return "0"
	}
	return number
}

// bounded compares the numbers of a container's cgroup and of its Pod's.
func (b *bed) bounded(name string, f cgroupFile, container, pod string) {
	b.t.Helper()
	if got, want := b.inside(name, f), b.said(f, false, container); got != want {
		b.t.Errorf("%s: %s of the container is %s, want %s", name, f.in(b), got, want)
	}
	if got, want := b.ofPod(name, f), b.said(f, true, pod); got != want {
		b.t.Errorf("%s: %s of the pod is %s, want %s", name, f.in(b), got, want)
	}
}

func TestResources_AsTheContainerSees(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	always := corev1.ContainerRestartPolicyAlways
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	sleeper := func(p *corev1.Pod) { p.Spec.Containers[0].Image = busyboxImage; command("sleep", "1000")(p) }
	pods := map[string]*corev1.Pod{
		"guaranteed": sized("guaranteed", "100m 32Mi", "100m 32Mi", sleeper),
		"burstable":  sized("burstable", "50m 16Mi", "200m 64Mi", sleeper),
		"besteffort": sized("besteffort", "", "", sleeper),
		"whole": sized("whole", "", "", func(p *corev1.Pod) {
			sleeper(p)
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: list("100m", "32Mi"), Limits: list("300m", "96Mi")}
		}),
		"served": sized("served", "50m 16Mi", "100m 32Mi", func(p *corev1.Pod) {
			sleeper(p)
			p.Spec.InitContainers = []corev1.Container{{Name: "side", Image: busyboxImage, Command: []string{"sleep", "1000"}, RestartPolicy: &always,
				Resources: corev1.ResourceRequirements{Requests: list("25m", "8Mi"), Limits: list("50m", "16Mi")}}}
			p.Spec.Overhead = list("10m", "4Mi")
		}),
	}
	for name, want := range map[string]struct {
		class                          corev1.PodQOSClass
		shares, quota, memory          string
		podShares, podQuota, podMemory string
	}{
		"guaranteed": {corev1.PodQOSGuaranteed, "102", "10000", mib(32), "102", "10000", mib(32)},
		"burstable":  {corev1.PodQOSBurstable, "51", "20000", mib(64), "51", "20000", mib(64)},
		"besteffort": {corev1.PodQOSBestEffort, "2", "-1", "", "2", "-1", ""},
		"whole":      {corev1.PodQOSBurstable, "307", "30000", mib(96), "102", "30000", mib(96)},
		"served":     {corev1.PodQOSBurstable, "51", "10000", mib(32), "87", "16000", mib(52)},
	} {
		b.world.adopt(t, b.cfg.Node, "c-"+name, pods[name])
		s := b.isReady(name)
		if s.QOSClass != want.class {
			t.Errorf("%s: class %s, want %s", name, s.QOSClass, want.class)
		}
		b.bounded(name, cpuShares, want.shares, want.podShares)
		b.bounded(name, cpuQuota, want.quota, want.podQuota)
		if want.memory != "" {
			b.bounded(name, memoryLimit, want.memory, want.podMemory)
			b.bounded(name, withSwap, want.memory, want.podMemory)
		}
		if got := b.ofPod(name, pidsMax); got != "4096" {
			t.Errorf("%s: %s processes, want 4096", name, got)
		}
		full, _ := b.world.World().Get(manifest.PodRef("default", name)).Full().(*corev1.Pod)
		score := strconv.Itoa(oci.OOMScore(&b.r.machine, full, &full.Spec.Containers[0]))
		if got := strings.TrimSpace(b.output(name, "cat", "/proc/self/oom_score_adj")); got != score {
			t.Errorf("%s: oom_score_adj %s, want %s", name, got, score)
		}
	}
}

func mib(n int64) string { return strconv.FormatInt(n<<20, 10) }

func TestResize_RealContainers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	shape := func(requests, limits string) *corev1.Pod {
		return sized("web", requests, limits, func(p *corev1.Pod) {
			p.Spec.Containers[0].Image = busyboxImage
			command("sleep", "1000")(p)
			p.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{
				{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.NotRequired}, {ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.NotRequired}}
		})
	}
	b.world.adopt(t, b.cfg.Node, "c1", shape("50m 16Mi", "100m 32Mi"))
	first := b.isReady("web").ContainerStatuses[0]
	b.world.adopt(t, b.cfg.Node, "c2", shape("100m 32Mi", "200m 64Mi"))
	done := func(cpu, memory string) func(*corev1.PodStatus) bool {
		return func(s *corev1.PodStatus) bool {
			c := s.ContainerStatuses[0]
			return c.Resources != nil && c.Resources.Limits.Cpu().String() == cpu && c.Resources.Limits.Memory().String() == memory && resizing(s) == ""
		}
	}
	s := b.world.await(t, "default", "web", "resized", 30*time.Second, done("200m", "64Mi"))
	if c := s.ContainerStatuses[0]; c.ContainerID != first.ContainerID || c.RestartCount != 0 || c.AllocatedResources.Cpu().String() != "100m" {
		t.Errorf("after it: %+v, want the same container", c)
	}
	b.bounded("web", cpuShares, "102", "102")
	b.bounded("web", cpuQuota, "20000", "20000")
	b.bounded("web", memoryLimit, mib(64), mib(64))
	b.bounded("web", withSwap, mib(64), mib(64))
	b.restart() // another daemon finds it as it is
	b.world.adopt(t, b.cfg.Node, "c3", shape("50m 16Mi", "100m 16Mi"))
	b.world.await(t, "default", "web", "smaller", 30*time.Second, done("100m", "16Mi"))
	if got := b.inside("web", memoryLimit); got != mib(16) {
		t.Errorf("limit is %s, want %s", got, mib(16))
	}
	b.world.adopt(t, b.cfg.Node, "c4", shape("50m 8Ki", "100m 32Ki"))
	s = b.world.await(t, "default", "web", "refused", 30*time.Second, func(s *corev1.PodStatus) bool { return strings.Contains(resizing(s), "below current usage") })
	if !b.saw("ResizeError") || b.inside("web", memoryLimit) != mib(16) || s.ContainerStatuses[0].RestartCount != 0 {
		t.Errorf("a limit below what is in use: %s, limit %s", resizing(s), b.inside("web", memoryLimit))
	}
}

// handlers are programs that can run containers here, as a node is configured with them.
func handlers(t *testing.T) []RuntimeHandler {
	var list []RuntimeHandler
	for _, name := range []string{"crun", "runc"} {
		if path, err := exec.LookPath(name); err == nil {
			list = append(list, RuntimeHandler{Name: "debian-" + name, Path: path})
		}
	}
	if len(list) == 0 {
		t.Skip("neither crun nor runc is installed")
	}
	return list
}

func TestRuntimeClass(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.stop()
	b.cfg.Resources.Handlers = handlers(t)
	b.up()
	node := &corev1.Node{}
	node.Name = string(b.cfg.Node)
	class := func(name, handler string) *nodev1.RuntimeClass {
		return &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Handler: handler}
	}
	b.world.adopt(t, b.cfg.Node, "c0", node, class("ours", "runc"), class("gone", "kata"))
	with := func(name, class string) *corev1.Pod {
		return sized(name, "50m 16Mi", "100m 32Mi", func(p *corev1.Pod) {
			p.Spec.Containers[0].Image = busyboxImage
			sh("echo up; trap 'exit 3' TERM; while :; do sleep 0.05; done")(p)
			p.Spec.RuntimeClassName = &class
		})
	}
	b.world.adopt(t, b.cfg.Node, "c1", with("ours", "ours"), with("unknown", "gone"), with("unnamed", "nosuch"))
	b.isReady("ours")
	for name, want := range map[string]string{
		"unknown": `Failed to create pod sandbox: failed to get sandbox runtime: no runtime for "kata" is configured`,
		"unnamed": `Failed to create pod sandbox: runtimeclass.node.k8s.io "nosuch" not found`,
	} {
		if got := b.awaitTold(name, "FailedCreatePodSandBox"); got != want {
			t.Errorf("%s: told %q, want %q", name, got, want)
		}
	}
	ran := false
	for i, h := range b.cfg.Resources.Handlers {
		name := fmt.Sprintf("other%d", i)
		b.world.adopt(t, b.cfg.Node, "c-"+name, class(h.Name, h.Name), with(name, h.Name))
		s := b.world.await(t, "default", name, "started or refused", 30*time.Second, func(s *corev1.PodStatus) bool {
			return ready(s) || len(s.ContainerStatuses) > 0 && s.ContainerStatuses[0].LastTerminationState.Terminated != nil
		})
		if !ready(s) {
			t.Logf("%s: %s", h.Name, s.ContainerStatuses[0].LastTerminationState.Terminated.Message) // crun does not take every machine's cgroups
			continue
		}
		ran = true
		rec := b.world.World().Get(manifest.PodRef("default", name))
		held, err := os.ReadDir(filepath.Join(b.cfg.pod("default", name, rec.UID).run, "oci", h.Name))
		if err != nil || len(held) != 1 {
			t.Errorf("%s holds %d containers, want 1 (%v)", h.Name, len(held), err)
		}
		if got := b.inside(name, memoryLimit); got != mib(32) {
			t.Errorf("%s: limit %s, want %s", h.Name, got, mib(32))
		}
		if got := b.log1(name, LogOptions{Tail: -1}); !strings.Contains(got, "up") {
			t.Errorf("%s: logged %q", h.Name, got)
		}
		b.restart()
		b.isReady(name)
		if got := strings.TrimSpace(b.output(name, "echo", "still")); got != "still" {
			t.Errorf("%s: exec after a restart of the daemon: %q", h.Name, got)
		}
	}
	if !ran {
		t.Error("none of the other programs ran a container")
	}
	status, _ := b.world.World().Get(manifest.NodeRef(node.Name)).Status.(*corev1.NodeStatus)
	var names []string
	for _, h := range status.RuntimeHandlers {
		names = append(names, h.Name)
	}
	if got := strings.Join(names, " "); !strings.HasPrefix(got, " ") || !strings.HasSuffix(got, " runc") || !strings.Contains(got, "debian-") {
		t.Errorf("the node has handlers %q", names)
	}
}

// awaitTold waits for an event about a Pod and gives its message.
func (b *bed) awaitTold(name, reason string) string {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		b.mu.Lock()
		for _, e := range b.events {
			if e.Ref.Name == name && e.Reason == reason {
				b.mu.Unlock()
				return e.Message
			}
		}
		b.mu.Unlock()
	}
	b.t.Fatalf("no event %s about %s", reason, name)
	return ""
}
