package manifest

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// nodePortClashes warns of pods that ask for a port of the node which a Service has on every node.
func (w *whole) nodePortClashes() {
	services := map[hostPort]*parsed{}
	for _, p := range ofKind(w.objects, ServiceRef("", "")) {
		s := p.Object.(*corev1.Service)
		for i := range s.Spec.Ports {
			if port := &s.Spec.Ports[i]; port.NodePort != 0 {
				services[hostPort{port.NodePort, port.Protocol}] = p
			}
		}
	}
	for _, p := range w.objects {
		if p.pods == nil || p.Ref.Kind == "PodTemplate" {
			continue
		}
		eachPort(p.pods.spec, func(at string, c *corev1.ContainerPort) bool {
			if s := services[hostPort{c.HostPort, c.Protocol}]; s != nil && c.HostPort != 0 {
				w.hint(p, p.pods.path+"."+at+".hostPort", fmt.Sprintf("%d/%s is the node port of %s in %s: who connects to the node reaches the Service and not this pod", c.HostPort, c.Protocol, s.Ref, s.Source))
			}
			return true
		})
	}
}

// crowded warns of Deployments with host ports that have more pods than there are nodes, and of those
// whose strategy keeps every node's port taken until a new pod has it.
func (w *whole) crowded() {
	nodes := int32(max(1, len(ofKind(w.objects, NodeRef("")))))
	for _, p := range ofKind(w.objects, DeploymentRef("", "")) {
		d := p.Object.(*appsv1.Deployment)
		if p.pods == nil || d.Spec.Replicas == nil || *d.Spec.Replicas < nodes || *d.Spec.Replicas == 0 {
			continue
		}
		eachPort(p.pods.spec, func(at string, c *corev1.ContainerPort) bool {
			if c.HostPort == 0 {
				return true
			}
			field := p.pods.path + "." + at + ".hostPort"
			switch {
			case *d.Spec.Replicas > nodes:
				w.hint(p, field, fmt.Sprintf("a node has %d/%s once: of %d pods at most %d can run", c.HostPort, c.Protocol, *d.Spec.Replicas, nodes))
			case unavailable(d) == 0:
				w.hint(p, field, fmt.Sprintf("a node has %d/%s once, and no pod may go before a new one is ready: a change of the template would wait for ever; set spec.strategy.rollingUpdate.maxUnavailable to 1, or spec.strategy.type to Recreate", c.HostPort, c.Protocol))
			}
			return false
		})
	}
}

// unavailable is how many pods of a Deployment a rollout may take away before new ones are ready.
func unavailable(d *appsv1.Deployment) int {
	u := d.Spec.Strategy.RollingUpdate
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || u == nil {
		return int(*d.Spec.Replicas)
	}
	scaled := func(v *intstr.IntOrString, up bool) int {
		n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(v, intstr.FromInt32(0)), int(*d.Spec.Replicas), up)
		if err != nil {
			return 0
		}
		return n
	}
	down := scaled(u.MaxUnavailable, false)
	if down == 0 && scaled(u.MaxSurge, true) == 0 {
		return 1 // as upstream resolves it
	}
	return down
}
