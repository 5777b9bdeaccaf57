//go:build kernel

package runtime

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"

	"writ/fixtures/deviceplugin"
	"writ/manifest"
)

const gpu corev1.ResourceName = "example.com/gpu"

// plugin starts a plugin that is registered with this node.
func (b *bed) plugin(change func(*deviceplugin.Plugin)) *deviceplugin.Plugin {
	b.t.Helper()
	dir := b.r.cfg.Resources.DevicePlugins
	b.eventually("the node listens for plugins", func() bool { return exists(filepath.Join(dir, "kubelet.sock")) })
	p := deviceplugin.Start(b.t, dir, string(gpu), change)
	if err := p.Register(b.t, api.Version); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// counted waits until the node says that it has, and can give, so many devices.
func (b *bed) counted(capacity, allocatable int64) {
	b.t.Helper()
	b.eventually("the node counts its devices", func() bool {
		s, ok := b.world.World().Get(manifest.NodeRef(string(b.cfg.Node))).Status.(*corev1.NodeStatus)
		if !ok {
			return false
		}
		has, can := s.Capacity[gpu], s.Allocatable[gpu]
		return has.Value() == capacity && can.Value() == allocatable
	})
}

func asks(name string, devices string) *corev1.Pod {
	return pod(name, busyboxImage, func(p *corev1.Pod) {
		command("sleep", "1000")(p)
		list := corev1.ResourceList{gpu: resource.MustParse(devices)}
		p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list, Limits: list}
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "MINE", Value: "yes"}}
	})
}

func deviceHealth(s *corev1.PodStatus) string {
	var out []string
	for _, r := range s.ContainerStatuses[0].AllocatedResourcesStatus {
		for _, d := range r.Resources {
			out = append(out, string(r.Name)+" "+string(d.ResourceID)+" "+string(d.Health))
		}
	}
	return strings.Join(out, ", ")
}

func TestDevicePlugin(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	node := &corev1.Node{}
	node.Name = string(b.cfg.Node)
	b.world.adopt(t, b.cfg.Node, "c0", node)
	p := b.plugin(func(p *deviceplugin.Plugin) { p.Options.PreStartRequired = true })
	p.Tell("gpu0 gpu1")
	b.counted(2, 2)

	b.world.adopt(t, b.cfg.Node, "c1", asks("one", "1"))
	s := b.isReady("one")
	if got := deviceHealth(s); got != "example.com/gpu gpu0 Healthy" {
		t.Errorf("status says %q", got)
	}
	if got := strings.TrimSpace(b.output("one", "sh", "-c", `echo $DEVICES $MINE; echo x >/dev/gpu0 && echo written; test -c /dev/gpu0 && cat /dev/gpu0 | wc -c; test -e /dev/gpu1 || echo alone; test -e /host-etc/passwd && echo mounted; touch /host-etc/x 2>/dev/null || echo readonly`)); got != "gpu0 yes\nwritten\n0\nalone\nmounted\nreadonly" {
		t.Errorf("the container sees %q", got)
	}
	if got := p.Asked(); got != "allocate [gpu0]; start [gpu0]" {
		t.Errorf("the plugin was asked %q", got)
	}
	// There is no device for it: it is rejected as kubelet does.
	b.world.adopt(t, b.cfg.Node, "c2", asks("two", "2"))
	s = b.world.await(t, "default", "two", "rejected", 30*time.Second, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodFailed })
	if want := "Pod was rejected: Allocate failed due to requested number of devices unavailable for example.com/gpu. Requested: 2, Available: 1, which is unexpected"; s.Reason != "UnexpectedAdmissionError" || s.Message != want {
		t.Errorf("rejected for %s: %s", s.Reason, s.Message)
	}
	p.Tell("gpu0 gpu1", "gpu0")
	b.counted(2, 1)
	b.world.await(t, "default", "one", "told that its device failed", 30*time.Second, func(s *corev1.PodStatus) bool { return deviceHealth(s) == "example.com/gpu gpu0 Unhealthy" })

	// Another daemon knows who has what, and the plugin registers again.
	p.Stop()
	b.restart()
	b.counted(0, 0)
	if got := deviceHealth(b.isReady("one")); !strings.HasPrefix(got, "example.com/gpu gpu0 ") {
		t.Errorf("after a restart: %q", got)
	}
	b.plugin(nil).Tell("gpu0 gpu1")
	b.counted(2, 2)
	b.world.adopt(t, b.cfg.Node, "c3", asks("three", "1"))
	if got := deviceHealth(b.isReady("three")); got != "example.com/gpu gpu1 Healthy" {
		t.Errorf("the one that is left: %q", got)
	}
	one := b.world.World().Get(manifest.PodRef("default", "one"))
	b.world.end(t, "default", "one", 0)
	b.world.await(t, "default", "one", "gone", 30*time.Second, gone)
	b.world.decide(t, remove("one"))
	b.eventually("the device of a pod that is gone is free", func() bool { return len(b.r.devices.Given(string(one.UID), "main")) == 0 })
}
