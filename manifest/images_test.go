package manifest

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestImages(t *testing.T) {
	spec := &corev1.PodSpec{
		InitContainers: []corev1.Container{{Image: "init:1"}},
		Containers:     []corev1.Container{{Image: "a:1"}, {Image: "b:1"}},
		Volumes: []corev1.Volume{
			{Name: "none"}, {VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "data:1"}}},
			{VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{}}},
		},
	}
	if got, want := Images(spec), []string{"init:1", "a:1", "b:1", "data:1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
