package manifest

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
)

// Sidecar tells whether an init container runs as long as its pod does.
func Sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// HostPorts yields the ports of a node that a pod asks for: those of the containers that run as long as it does.
func HostPorts(spec *corev1.PodSpec) iter.Seq[*corev1.ContainerPort] {
	return func(yield func(*corev1.ContainerPort) bool) {
		for i := range spec.InitContainers {
			if c := &spec.InitContainers[i]; Sidecar(c) && !hostPortsIn(c, yield) {
				return
			}
		}
		for i := range spec.Containers {
			if !hostPortsIn(&spec.Containers[i], yield) {
				return
			}
		}
	}
}

func hostPortsIn(c *corev1.Container, yield func(*corev1.ContainerPort) bool) bool {
	for i := range c.Ports {
		if c.Ports[i].HostPort > 0 && !yield(&c.Ports[i]) {
			return false
		}
	}
	return true
}

// PodClaims yields the names of the claims whose volumes a pod mounts, those that are made for the pod alone too.
func PodClaims(pod *corev1.Pod) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range pod.Spec.Volumes {
			v := &pod.Spec.Volumes[i]
			switch {
			case v.PersistentVolumeClaim != nil:
				if !yield(v.PersistentVolumeClaim.ClaimName) {
					return
				}
			case v.Ephemeral != nil:
				if !yield(pod.Name + "-" + v.Name) {
					return
				}
			}
		}
	}
}

// eachContainer calls f with the init containers and the containers of a pod. at is the path of spec.
func eachContainer(at string, spec *corev1.PodSpec, f func(at string, c *corev1.Container)) {
	for i := range spec.InitContainers {
		f(index(at+".initContainers", i), &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		f(index(at+".containers", i), &spec.Containers[i])
	}
}
