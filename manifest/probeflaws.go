package manifest

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probes adds probes and hooks of a port that their container does not have, which fail for ever, and
// warns of hooks of a kind that no kubelet runs.
func (n *needs) probes(at string, c *corev1.Container) {
	for _, one := range []struct {
		name  string
		probe *corev1.Probe
	}{{"startupProbe", c.StartupProbe}, {"livenessProbe", c.LivenessProbe}, {"readinessProbe", c.ReadinessProbe}} {
		if one.probe == nil {
			continue
		}
		n.asked(at+"."+one.name, c, one.probe.HTTPGet, one.probe.TCPSocket)
	}
	if c.Lifecycle == nil {
		return
	}
	for _, one := range []struct {
		name, then string
		hook       *corev1.LifecycleHandler
	}{{"postStart", "the container is killed each time it has started", c.Lifecycle.PostStart}, {"preStop", "nothing is done before the container is stopped", c.Lifecycle.PreStop}} {
		if one.hook == nil {
			continue
		}
		field := at + ".lifecycle." + one.name
		if one.hook.TCPSocket != nil {
			n.warn(field+".tcpSocket", "Kubernetes takes this kind of hook and cannot run it, so it always fails: "+one.then)
		}
		n.asked(field, c, one.hook.HTTPGet, nil)
	}
}

func (n *needs) asked(at string, c *corev1.Container, http *corev1.HTTPGetAction, tcp *corev1.TCPSocketAction) {
	if http != nil {
		n.named(at+".httpGet.port", c, http.Port)
	}
	if tcp != nil {
		n.named(at+".tcpSocket.port", c, tcp.Port)
	}
}

// named adds the name of a port that the container itself does not have; ports of others in its pod do not count.
func (n *needs) named(field string, c *corev1.Container, port intstr.IntOrString) {
	if port.Type != intstr.String || slices.ContainsFunc(c.Ports, func(cp corev1.ContainerPort) bool { return cp.Name == port.StrVal }) {
		return
	}
	n.flaw(field, fmt.Sprintf("Invalid value: %q: container %s has no port of that name", port.StrVal, c.Name))
}
