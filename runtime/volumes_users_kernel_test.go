//go:build kernel

package runtime

import (
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// A Pod with users of its own sees every kind of volume as others do.
func TestVolumes_OwnUsers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	no, user, group := false, int64(1000), int64(3000)
	ref := corev1.LocalObjectReference{Name: "files"}
	list := []corev1.Volume{
		emptyDir("disk"),
		{Name: "mem", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
		{Name: "cm", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref}}},
		{Name: "sec", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "key"}}},
		{Name: "img", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: demoImage, PullPolicy: corev1.PullIfNotPresent}}},
		hostPath("host", privateMount(t, filepath.Join(b.dir, "shown"))),
	}
	b.world.adopt(t, b.cfg.Node, "c1", configMap("files", map[string]string{"a.txt": "one"}), secret("key", map[string]string{"key": "s3"}),
		pod("app", busyboxImage, volumes(func(p *corev1.Pod, c *corev1.Container) {
			p.Spec.HostUsers = &no
			p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user, FSGroup: &group}
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "disk", MountPath: "/part", SubPath: "a"}, corev1.VolumeMount{Name: "cm", MountPath: "/one", SubPath: "a.txt"})
		}, list...)))
	b.isReady("app")
	b.prints("app", map[string]string{
		"for d in disk mem part; do touch /$d/mine; stat -c %u:%g /$d/mine; done": "1000:3000\n1000:3000\n1000:3000\n",
		"cat /cm/a.txt /sec/key /one":       "ones3one",
		"stat -L -c %u:%g:%a /sec/key":      "0:3000:644\n",
		"stat -c %u /img /host":             "0\n0\n",
		"ls /img | wc -l | grep -c -v '^0'": "1\n",
	})
}
