package admit

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
)

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

// mounted tells, by container, which volume shows the token.
func mounted(pod *corev1.Pod) string {
	var out []string
	eachContainer(&pod.Spec, func(c *corev1.Container) {
		for _, m := range c.VolumeMounts {
			if m.MountPath == tokenPath {
				out = append(out, c.Name+"="+m.Name)
			}
		}
	})
	return strings.Join(out, " ")
}

func TestMountToken(t *testing.T) {
	own := corev1.VolumeMount{Name: "own", MountPath: tokenPath}
	for _, tt := range []struct {
		name    string
		account *bool
		change  func(*corev1.Pod)
		want    string
	}{
		{"by default", nil, nil, "c=kube-api-access-gbtdd"},
		{"the account wants none", no(), nil, ""},
		{"the pod wants none", yes(), func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = no() }, ""},
		{"the pod wins", no(), func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = yes() }, "c=kube-api-access-gbtdd"},
		{"something is mounted there", nil, func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{own} }, "c=own"},
		{"every container", nil, func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i"}}
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "d", VolumeMounts: []corev1.VolumeMount{own}})
		}, "i=kube-api-access-gbtdd c=kube-api-access-gbtdd d=own"},
		{"one of its own of that name", nil, func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "kube-api-access-mine", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		}, "c=kube-api-access-mine"},
	} {
		a := account("default")
		a.AutomountServiceAccountToken = tt.account
		got, err := Pod(world(t, a), pod(tt.change))
		if err != nil {
			t.Fatal(err)
		}
		if mounted(got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, mounted(got), tt.want)
		}
		again, err := Pod(world(t, a), got)
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("%s: admitting again: %v\n%s", tt.name, err, diff)
		}
		kept := Keep(got, nil, manifest.Default(pod(tt.change)).(*corev1.Pod))
		if diff := cmp.Diff(got, kept); diff != "" {
			t.Errorf("%s: unchanged declaration -admitted +kept:\n%s", tt.name, diff)
		}
	}
}

// What upstream's admission adds, field by field.
func TestMountToken_Source(t *testing.T) {
	got, err := Pod(world(t, account("default")), pod(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Spec.Volumes) != 1 || got.Spec.Volumes[0].Projected == nil {
		t.Fatalf("volumes are %v, want one that is projected", got.Spec.Volumes)
	}
	p := got.Spec.Volumes[0].Projected
	if *p.DefaultMode != 0o644 || len(p.Sources) != 3 || p.Sources[0].ServiceAccountToken.Path != "token" || *p.Sources[0].ServiceAccountToken.ExpirationSeconds != 3607 ||
		p.Sources[1].ConfigMap.Name != "kube-root-ca.crt" || p.Sources[1].ConfigMap.Items[0].Key != "ca.crt" || p.Sources[2].DownwardAPI.Items[0].Path != "namespace" {
		t.Errorf("source is %+v", p)
	}
	if m := got.Spec.Containers[0].VolumeMounts[0]; !m.ReadOnly {
		t.Error("the token can be written to")
	}
}

// Pods that were admitted before tokens were mounted stay as they are.
func TestKeep_WithoutToken(t *testing.T) {
	admitted, err := Pod(world(t, account("default")), pod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = no() }))
	if err != nil {
		t.Fatal(err)
	}
	admitted.Spec.AutomountServiceAccountToken = nil
	if diff := cmp.Diff(admitted, Keep(admitted, nil, manifest.Default(pod(nil)).(*corev1.Pod))); diff != "" {
		t.Errorf("-admitted +kept:\n%s", diff)
	}
}

// All Pods of an owner have the same volume, so that they share one template.
func TestMountToken_OfAnOwner(t *testing.T) {
	w := world(t, account("default"))
	name := func(generate, name string) string {
		p, err := Pod(w, pod(func(p *corev1.Pod) { p.GenerateName, p.Name = generate, name }))
		if err != nil {
			t.Fatal(err)
		}
		return p.Spec.Volumes[0].Name
	}
	if a, b := name("web-1-", ""), name("web-1-", "web-1-x"); a != b {
		t.Errorf("volumes are %s and %s, want one name", a, b)
	}
	if a, b := name("web-1-", ""), name("web-2-", ""); a == b {
		t.Errorf("two owners have the same volume %s", a)
	}
}
