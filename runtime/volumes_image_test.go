package runtime

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/image"
)

func imagePod() *corev1.Pod {
	return pod("p", "img", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "data:1", PullPolicy: corev1.PullAlways}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
	})
}

// A container starts when its own image and those of its volumes are here; what lacks is pulled, and
// shown as the container's reason.
func TestSteps_ImageVolume(t *testing.T) {
	now := time.Unix(1700000000, 0)
	d := &Desired{Pod: imagePod()}
	here := Pull{Ref: "img", Image: &image.Image{ID: "a"}}
	for _, tt := range []struct {
		name   string
		volume Pull
		want   string // steps
		reason string // of the container
	}{
		{"not asked for", Pull{}, "pull volume/v", "ContainerCreating"},
		{"on its way", Pull{Ref: "data:1", Running: true}, "", "ContainerCreating"},
		{"failed", Pull{Ref: "data:1", Reason: "ErrImagePull", Message: "no", FailedAt: now, Retry: now.Add(time.Minute)}, "", "ErrImagePull"},
		{"failed a while ago", Pull{Ref: "data:1", Reason: "ErrImagePull", Message: "no", FailedAt: now.Add(-time.Minute), Retry: now.Add(time.Minute)}, "", "ImagePullBackOff"},
		{"here", Pull{Ref: "data:1", Image: &image.Image{ID: "b"}}, "start main", "ContainerCreating"},
	} {
		o := &Observed{Sandbox: Attempt{Done: true}, Volumes: Attempt{Done: true}, Containers: map[string]*Observation{
			"main": {Image: here}, "volume/v": {Image: tt.volume}}}
		var got string
		for _, s := range Steps(d, o, now).Steps {
			got += s.String()
		}
		if got != tt.want {
			t.Errorf("%s: steps %q, want %q", tt.name, got, tt.want)
		}
		s := Status(d, o, nil, "192.0.2.1", now)
		if w := s.ContainerStatuses[0].State.Waiting; w == nil || w.Reason != tt.reason {
			t.Errorf("%s: waiting is %v, want %s", tt.name, w, tt.reason)
		}
		if len(s.ContainerStatuses) != 1 {
			t.Errorf("%s: %d statuses, want 1", tt.name, len(s.ContainerStatuses))
		}
	}
}

func TestVolumeMounts_Status(t *testing.T) {
	enabled, disabled, possible, host := corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyIfPossible, corev1.MountPropagationHostToContainer
	c := &corev1.Container{VolumeMounts: []corev1.VolumeMount{{Name: "rw", MountPath: "/a"}, {Name: "ro", MountPath: "/b", ReadOnly: true}, {Name: "off", ReadOnly: true, RecursiveReadOnly: &disabled},
		{Name: "rro", ReadOnly: true, RecursiveReadOnly: &enabled}, {Name: "if", ReadOnly: true, RecursiveReadOnly: &possible}, {Name: "slave", ReadOnly: true, RecursiveReadOnly: &possible, MountPropagation: &host}}}
	for able, want := range map[bool]string{true: "rw:- ro:Disabled off:Disabled rro:Enabled if:Enabled slave:Disabled ", false: "rw:- ro:Disabled off:Disabled rro:Disabled if:Disabled slave:Disabled "} {
		got := ""
		for _, m := range volumeMounts(&Observed{RecursiveReadOnly: able}, c) {
			mode := "-"
			if m.RecursiveReadOnly != nil {
				mode = string(*m.RecursiveReadOnly)
			}
			got += m.Name + ":" + mode + " "
		}
		if got != want {
			t.Errorf("able %v: %q, want %q", able, got, want)
		}
	}
}

// Files of volumes that end are made anew without anything else happening.
func TestSteps_Refresh(t *testing.T) {
	now := time.Unix(1700000000, 0)
	o := &Observed{Sandbox: Attempt{Done: true}, Volumes: Attempt{Done: true}, Refresh: now.Add(8 * time.Minute), Containers: map[string]*Observation{}}
	if p := Steps(&Desired{Pod: pod("p", "img", nil)}, o, now); p.Wake.IsZero() || p.Wake.After(o.Refresh) {
		t.Errorf("wakes at %v, want %v at the latest", p.Wake, o.Refresh)
	}
}
