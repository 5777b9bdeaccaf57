package admit

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	tokenVolume = "kube-api-access-"
	// tokenPath is where every client library looks for a token.
	tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"
	// tokenSeconds is upstream's: the odd seven seconds tell its tokens from others of an hour.
	tokenSeconds = 3607
	// RootCA is the ConfigMap of every namespace with the certificate of the cluster's authority.
	RootCA = "kube-root-ca.crt"
)

// mountToken shows every container the token of its account, with what a client of the API needs
// beside it, unless the Pod or else its account does not want that, or something is mounted there.
// The name of the volume is derived, so that all Pods of an owner have the same.
func mountToken(account *corev1.ServiceAccount, pod *corev1.Pod) {
	if !wantsToken(account, pod) {
		return
	}
	name := tokenVolumeOf(&pod.Spec)
	there := name != ""
	if !there {
		name = tokenVolume + tokenSuffix(pod)
	}
	needed := false
	eachContainer(&pod.Spec, func(c *corev1.Container) {
		if tokenMount(c) == nil {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenPath})
			needed = true
		}
	})
	if needed && !there {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: tokenSource()}})
	}
}

func wantsToken(account *corev1.ServiceAccount, pod *corev1.Pod) bool {
	switch {
	case pod.Spec.AutomountServiceAccountToken != nil:
		return *pod.Spec.AutomountServiceAccountToken
	case account != nil && account.AutomountServiceAccountToken != nil:
		return *account.AutomountServiceAccountToken
	}
	return true
}

// keepToken gives a declared Pod what mountToken gave the admitted one, no more and no less.
func keepToken(old, now *corev1.PodSpec) {
	name := tokenVolumeOf(old)
	if name == "" || now.AutomountServiceAccountToken != nil && !*now.AutomountServiceAccountToken {
		return
	}
	mounts := map[string]corev1.VolumeMount{}
	eachContainer(old, func(c *corev1.Container) {
		if m := tokenMount(c); m != nil && m.Name == name {
			mounts[c.Name] = *m
		}
	})
	eachContainer(now, func(c *corev1.Container) {
		if m, ok := mounts[c.Name]; ok && tokenMount(c) == nil {
			c.VolumeMounts = append(c.VolumeMounts, m)
		}
	})
	if tokenVolumeOf(now) != "" {
		return
	}
	for i := range old.Volumes {
		if old.Volumes[i].Name == name {
			now.Volumes = append(now.Volumes, *old.Volumes[i].DeepCopy())
		}
	}
}

// tokenMount is what a container has where clients look for a token, nil for nothing.
func tokenMount(c *corev1.Container) *corev1.VolumeMount {
	for i := range c.VolumeMounts {
		if c.VolumeMounts[i].MountPath == tokenPath {
			return &c.VolumeMounts[i]
		}
	}
	return nil
}

func tokenVolumeOf(spec *corev1.PodSpec) string {
	for i := range spec.Volumes {
		if strings.HasPrefix(spec.Volumes[i].Name, tokenVolume) {
			return spec.Volumes[i].Name
		}
	}
	return ""
}

func eachContainer(spec *corev1.PodSpec, f func(*corev1.Container)) {
	for i := range spec.InitContainers {
		f(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		f(&spec.Containers[i])
	}
}

// tokenSuffix is of the name of the Pod, or of what that is generated from.
func tokenSuffix(pod *corev1.Pod) string {
	if pod.GenerateName != "" {
		return Suffix(pod.Namespace, pod.GenerateName)
	}
	return Suffix(pod.Namespace, pod.Name)
}

func tokenSource() *corev1.ProjectedVolumeSource {
	mode, seconds := corev1.ProjectedVolumeSourceDefaultMode, int64(tokenSeconds)
	return &corev1.ProjectedVolumeSource{DefaultMode: &mode, Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &seconds}},
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: RootCA}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}},
		}}},
	}}
}
