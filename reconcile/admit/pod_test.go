package admit

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

func world(t *testing.T, objects ...manifest.Object) *state.World {
	t.Helper()
	b := state.Batch{Writer: state.WriterReconcile, Adopt: &state.Adoption{Commit: "a"}, Now: time.Unix(0, 0)}
	for _, o := range objects {
		b.Puts = append(b.Puts, state.Put{Ref: manifest.RefOf(o), Object: o, Origin: state.Authored})
	}
	w, _, err := state.Apply(state.NewWorld(uuid.Nil), b, 1)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func account(name string, secrets ...string) *corev1.ServiceAccount {
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	for _, s := range secrets {
		a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
	}
	return a
}

func class(name string, value int32, global bool) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, GlobalDefault: global}
}

func pod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "img"}}},
	}
	if change != nil {
		change(p)
	}
	return p
}

func TestPod_Adds(t *testing.T) {
	w := world(t, account("default", "registry"), class("mine", 7, false), class("usual", 3, true))
	limits := func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
		p.Spec.PriorityClassName = "mine"
	}
	before := pod(limits)
	got, err := Pod(w, before)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pod(limits), before); diff != "" {
		t.Errorf("the argument was changed:\n%s", diff)
	}
	if got.Spec.ServiceAccountName != "default" || len(got.Spec.ImagePullSecrets) != 1 || got.Spec.ImagePullSecrets[0].Name != "registry" {
		t.Errorf("account: got %q with secrets %v", got.Spec.ServiceAccountName, got.Spec.ImagePullSecrets)
	}
	var tolerations []string
	for _, tol := range got.Spec.Tolerations {
		tolerations = append(tolerations, tol.Key+" "+string(tol.Effect)+" "+(time.Duration(*tol.TolerationSeconds)*time.Second).String())
	}
	want := []string{"node.kubernetes.io/not-ready NoExecute 5m0s", "node.kubernetes.io/unreachable NoExecute 5m0s"}
	if diff := cmp.Diff(want, tolerations); diff != "" {
		t.Errorf("tolerations -want +got:\n%s", diff)
	}
	if *got.Spec.Priority != 7 {
		t.Errorf("priority: got %d, want 7", *got.Spec.Priority)
	}
	if cpu := got.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU]; cpu.String() != "2" {
		t.Errorf("requests from limits: got %s, want 2", cpu.String())
	}
	again, err := Pod(w, got)
	if diff := cmp.Diff(got, again); err != nil || diff != "" {
		t.Errorf("admitting again: %v\n%s", err, diff)
	}
}

func TestPod_Priority(t *testing.T) {
	w := world(t, account("default"), class("low", 3, true), class("high", 9, true))
	for name, want := range map[string]int32{"": 3, "high": 9, "system-node-critical": 2000001000, "system-cluster-critical": 2000000000} {
		got, err := Pod(w, pod(func(p *corev1.Pod) { p.Spec.PriorityClassName = name }))
		if err != nil || *got.Spec.Priority != want {
			t.Errorf("class %q: got %v %v, want %d", name, got, err, want)
		}
	}
}

func TestPod_Refuses(t *testing.T) {
	w := world(t, account("default"))
	for want, change := range map[string]func(*corev1.Pod){
		`pods "p" is forbidden: error looking up service account default/x: serviceaccount "x" not found`: func(p *corev1.Pod) { p.Spec.ServiceAccountName = "x" },
		`pods "p" is forbidden: no PriorityClass with name x was found`:                                   func(p *corev1.Pod) { p.Spec.PriorityClassName = "x" },
	} {
		if _, err := Pod(w, pod(change)); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A later change of an account or class does not change what a running Pod was admitted with.
func TestKeep(t *testing.T) {
	admitted, err := Pod(world(t, account("default", "old"), class("usual", 3, true)), pod(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(admitted, Keep(admitted, nil, manifest.Default(pod(nil)).(*corev1.Pod))); diff != "" {
		t.Errorf("unchanged declaration -admitted +kept:\n%s", diff)
	}
	kept := Keep(admitted, nil, pod(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "img:2" }))
	if kept.Spec.Containers[0].Image != "img:2" || !strings.HasPrefix(kept.Spec.ImagePullSecrets[0].Name, "old") {
		t.Errorf("changed declaration: got %+v", kept.Spec)
	}
}
