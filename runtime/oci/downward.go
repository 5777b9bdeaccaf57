package oci

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	podresource "k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
)

// FieldValue is a field of the Pod as a string, in upstream's form.
func FieldValue(f *Facts, path string) (string, error) {
	first := func(ips []string) string {
		if len(ips) == 0 {
			return ""
		}
		return ips[0]
	}
	switch path {
	case "spec.nodeName":
		return f.Pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return f.Pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return first(f.HostIPs), nil
	case "status.hostIPs":
		return strings.Join(f.HostIPs, ","), nil
	case "status.podIP":
		return first(f.PodIPs), nil
	case "status.podIPs":
		return strings.Join(f.PodIPs, ","), nil
	}
	value, err := fieldpath.ExtractFieldPathAsString(f.Pod, path)
	if err != nil {
		return "", configErrorf("%v", err)
	}
	return value, nil
}

// ResourceValue is a request or limit of a container of the Pod (own where the
// reference names none); limits that are not set count as the Pod's, or else as the node's allocatable.
func ResourceValue(f *Facts, own *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	c := own
	if ref.ContainerName != "" {
		c = Container(&f.Pod.Spec, ref.ContainerName)
	}
	if c == nil {
		return "", configErrorf("container %q not found", ref.ContainerName)
	}
	c = c.DeepCopy()
	podresource.MergeContainerResourceLimits(c, standIns(f.Pod, f.Allocatable))
	value, err := podresource.ExtractContainerResourceValue(ref, c)
	if err != nil {
		return "", configErrorf("%v", err)
	}
	return value, nil
}

// Container is a container of a Pod by name, an init container too; nil if there is none.
func Container(spec *corev1.PodSpec, name string) *corev1.Container {
	for i := range spec.InitContainers {
		if spec.InitContainers[i].Name == name {
			return &spec.InitContainers[i]
		}
	}
	for i := range spec.Containers {
		if spec.Containers[i].Name == name {
			return &spec.Containers[i]
		}
	}
	return nil
}
