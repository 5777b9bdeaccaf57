package oci

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestProfile(t *testing.T) {
	yes, mine, odd := true, " mine ", "gone"
	kind := func(t corev1.AppArmorProfileType, name *string) *corev1.AppArmorProfile {
		return &corev1.AppArmorProfile{Type: t, LocalhostProfile: name}
	}
	pod := func(p *corev1.AppArmorProfile) *corev1.PodSecurityContext {
		return &corev1.PodSecurityContext{AppArmorProfile: p}
	}
	own := func(p *corev1.AppArmorProfile) *corev1.SecurityContext {
		return &corev1.SecurityContext{AppArmorProfile: p}
	}
	const note = "container.apparmor.security.beta.kubernetes.io/c"
	for _, tt := range []struct {
		name      string
		pod       *corev1.PodSecurityContext
		container *corev1.SecurityContext
		notes     map[string]string
		want      string
		fail      string
	}{
		{"nobody asks", nil, nil, nil, "writ-default", ""},
		{"the default", pod(kind("RuntimeDefault", nil)), nil, nil, "writ-default", ""},
		{"unconfined", pod(kind("Unconfined", nil)), nil, nil, "", ""},
		{"one of the node", pod(kind("Localhost", &mine)), nil, nil, "mine", ""},
		{"the container's wins", pod(kind("Localhost", &mine)), own(kind("Unconfined", nil)), nil, "", ""},
		{"one that is not loaded", nil, own(kind("Localhost", &odd)), nil, "", "failed to generate apparmor spec opts: apparmor profile not found gone"},
		{"privileged", nil, &corev1.SecurityContext{Privileged: &yes}, nil, "", ""},
		{"privileged with one of the node", nil, &corev1.SecurityContext{Privileged: &yes, AppArmorProfile: kind("Localhost", &mine)}, nil, "mine", ""},
		{"an annotation", nil, nil, map[string]string{note: "localhost/mine"}, "mine", ""},
		{"an annotation for nothing", nil, nil, map[string]string{note: "unconfined"}, "", ""},
		{"an annotation wins over the pod", pod(kind("Unconfined", nil)), nil, map[string]string{note: "runtime/default"}, "writ-default", ""},
	} {
		l := LSM{AppArmor: true, DefaultProfile: "writ-default", Loaded: func(name string) (bool, error) { return name == "mine", nil }}
		p := facts(func(f *Facts) { f.Pod.Spec.SecurityContext, f.Pod.Annotations = tt.pod, tt.notes }).Pod
		got, err := l.profile(p, &corev1.Container{Name: "c", SecurityContext: tt.container})
		if got != tt.want || (err == nil) != (tt.fail == "") || err != nil && err.Error() != tt.fail {
			t.Errorf("%s: got %q, %v, want %q, %q", tt.name, got, err, tt.want, tt.fail)
		}
		if got, err := (&LSM{}).profile(p, &corev1.Container{Name: "c", SecurityContext: tt.container}); got != "" || err != nil {
			t.Errorf("%s: without AppArmor got %q, %v", tt.name, got, err)
		}
	}
}

func TestLabels(t *testing.T) {
	yes := true
	p := facts(func(f *Facts) {
		f.Pod.Spec.SecurityContext = &corev1.PodSecurityContext{SELinuxOptions: &corev1.SELinuxOptions{Type: "pod_t", Level: "s0:c1,c2"}}
	}).Pod
	c := &corev1.Container{Name: "c", SecurityContext: &corev1.SecurityContext{SELinuxOptions: &corev1.SELinuxOptions{User: "u", Role: "r", Type: "own_t"}}}
	for _, tt := range []struct {
		c    *corev1.Container
		want []string
	}{
		{nil, []string{"type:pod_t", "level:s0:c1,c2"}},
		{&corev1.Container{Name: "c"}, []string{"type:pod_t", "level:s0:c1,c2"}},
		{c, []string{"user:u", "role:r", "type:own_t"}},
	} {
		if got, err := LabelOptions(p, tt.c); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("options %v, %v, want %v", got, err, tt.want)
		}
	}
	for level, fine := range map[string]bool{"s0": true, "s0-s1:c1,c2": true, "s0:c1.c1023,c5": true, "none": false, "s0:": false, "s0:c1,c2\nx": false, "s0:c12345": false} {
		c.SecurityContext.SELinuxOptions.Level = level
		if _, err := LabelOptions(p, c); (err == nil) != fine {
			t.Errorf("level %q: %v", level, err)
		}
	}
	f := facts(nil)
	in := &Input{RootPath: "/root", Root: root(), ImageEntrypoint: []string{"/app"}, ShmPath: "/shm", ProcessLabel: "a:b:c_t:s0", MountLabel: "a:b:f_t:s0"}
	for privileged, want := range map[bool]string{false: "a:b:c_t:s0 a:b:f_t:s0", true: " a:b:f_t:s0"} {
		in.Container = &corev1.Container{Name: "c", SecurityContext: &corev1.SecurityContext{}}
		if privileged {
			in.Container.SecurityContext.Privileged = &yes
		}
		s, err := Spec(f, in)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(s.Process.SelinuxLabel, " ", s.Linux.MountLabel); got != want {
			t.Errorf("privileged %v: labels %q, want %q", privileged, got, want)
		}
	}
}
