package admit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
)

func overhead(cpu string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
}

func sandboxed() *nodev1.RuntimeClass {
	return &nodev1.RuntimeClass{
		ObjectMeta: metav1.ObjectMeta{Name: "sandboxed"}, Handler: "crun",
		Overhead: &nodev1.Overhead{PodFixed: overhead("250m")},
		Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"sandbox": "yes"},
			Tolerations: []corev1.Toleration{{Key: "sandbox", Operator: corev1.TolerationOpExists}}},
	}
}

func classed(name string, change func(*corev1.Pod)) *corev1.Pod {
	return pod(func(p *corev1.Pod) {
		p.Spec.RuntimeClassName = &name
		if change != nil {
			change(p)
		}
	})
}

func TestPod_RuntimeClass(t *testing.T) {
	w := world(t, account("default"), sandboxed(), &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "plain"}, Handler: "runc"})
	got, err := Pod(w, classed("sandboxed", func(p *corev1.Pod) {
		p.Spec.NodeSelector = map[string]string{"disk": "fast"}
		p.Spec.Tolerations = []corev1.Toleration{{Key: "sandbox", Operator: corev1.TolerationOpEqual, Value: "x", Effect: corev1.TaintEffectNoSchedule}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(overhead("250m"), got.Spec.Overhead); diff != "" {
		t.Errorf("overhead -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"disk": "fast", "sandbox": "yes"}, got.Spec.NodeSelector); diff != "" {
		t.Errorf("node selector -want +got:\n%s", diff)
	}
	var keys []string
	for _, one := range got.Spec.Tolerations {
		keys = append(keys, one.Key+" "+string(one.Operator))
	}
	want := []string{"node.kubernetes.io/not-ready Exists", "node.kubernetes.io/unreachable Exists", "sandbox Exists"} // the narrower one is covered
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("tolerations -want +got:\n%s", diff)
	}
	if again, err := Pod(w, got); err != nil || cmp.Diff(got, again) != "" {
		t.Errorf("admitting again: %v\n%s", err, cmp.Diff(got, again))
	}
	if plain, err := Pod(w, classed("plain", nil)); err != nil || plain.Spec.Overhead != nil || plain.Spec.NodeSelector != nil {
		t.Errorf("a class that says nothing adds %+v (%v)", plain.Spec, err)
	}
	// The class may change or go: the running Pod stays as it was admitted.
	declared := classed("sandboxed", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "fast"} })
	kept := Keep(got, nil, manifest.Default(declared).(*corev1.Pod))
	if known := Keep(got, declared, manifest.Default(declared).(*corev1.Pod)); cmp.Diff(kept, known) != "" {
		t.Errorf("what was declared before makes a difference:\n%s", cmp.Diff(kept, known))
	}
	if diff := cmp.Diff(got.Spec.NodeSelector, kept.Spec.NodeSelector) + cmp.Diff(got.Spec.Overhead, kept.Spec.Overhead) + cmp.Diff(got.Spec.Tolerations, kept.Spec.Tolerations); diff != "" {
		t.Errorf("kept:\n%s", diff)
	}
}

func TestPod_RuntimeClassRefuses(t *testing.T) {
	w := world(t, account("default"), sandboxed())
	for want, p := range map[string]*corev1.Pod{
		`pods "p" is forbidden: pod rejected: RuntimeClass "gone" not found`: classed("gone", nil),
		`pods "p" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead`: classed("sandboxed",
			func(p *corev1.Pod) { p.Spec.Overhead = overhead("1") }),
		`pods "p" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead`: pod(
			func(p *corev1.Pod) { p.Spec.Overhead = overhead("1") }),
		`pods "p" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[sandbox] = yes; pod.spec.nodeSelector[sandbox] = no`: classed("sandboxed",
			func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"sandbox": "no"} }),
	} {
		if _, err := Pod(w, p); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Tolerations of which one covers the other stay as they were written, so that nothing seems to be taken away.
func TestKeep_TolerationsThatCoverEachOther(t *testing.T) {
	wide, narrow := corev1.Toleration{Key: "k", Operator: corev1.TolerationOpExists}, corev1.Toleration{Key: "k", Operator: corev1.TolerationOpEqual, Value: "v"}
	w := world(t, account("default"), &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "plain"}, Handler: "runc"})
	declare := func(list ...corev1.Toleration) *corev1.Pod {
		return manifest.Default(classed("plain", func(p *corev1.Pod) { p.Spec.Tolerations = list })).(*corev1.Pod)
	}
	admitted, err := Pod(w, declare(wide, narrow))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(admitted.Spec.Tolerations, Keep(admitted, nil, declare(wide, narrow)).Spec.Tolerations); diff != "" {
		t.Errorf("kept, -admitted +kept:\n%s", diff)
	}
	more := corev1.Toleration{Key: "other", Operator: corev1.TolerationOpExists}
	want := append(slices.Clone(admitted.Spec.Tolerations), more)
	if diff := cmp.Diff(want, Keep(admitted, nil, declare(wide, narrow, more)).Spec.Tolerations); diff != "" {
		t.Errorf("one more, -want +kept:\n%s", diff)
	}
}

// What its author takes away does not stay as if the class had added it.
func TestKeep_TakenAway(t *testing.T) {
	w := world(t, account("default"), sandboxed())
	seconds := int64(10)
	short := corev1.Toleration{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds}
	declare := func(labels map[string]string, keys ...corev1.Toleration) *corev1.Pod {
		return manifest.Default(classed("sandboxed", func(p *corev1.Pod) { p.Spec.NodeSelector, p.Spec.Tolerations = labels, keys })).(*corev1.Pod)
	}
	own := corev1.Toleration{Key: "own", Operator: corev1.TolerationOpExists}
	fast := map[string]string{"disk": "fast"}
	for name, tt := range map[string]struct {
		before, now *corev1.Pod
		labels      map[string]string
		tolerates   string
	}{
		"nothing":                  {declare(fast, own), declare(fast, own), map[string]string{"disk": "fast", "sandbox": "yes"}, "own not-ready/300 unreachable/300 sandbox"},
		"node selector":            {declare(fast, own), declare(nil, own), map[string]string{"sandbox": "yes"}, "own not-ready/300 unreachable/300 sandbox"},
		"value of a node selector": {declare(fast), declare(map[string]string{"disk": "slow"}), map[string]string{"disk": "slow", "sandbox": "yes"}, "not-ready/300 unreachable/300 sandbox"},
		"toleration":               {declare(fast, own), declare(fast), map[string]string{"disk": "fast", "sandbox": "yes"}, "not-ready/300 unreachable/300 sandbox"},
		"shorter than the default": {declare(nil), declare(nil, short), map[string]string{"sandbox": "yes"}, "unreachable/300 sandbox not-ready/10"},
		"default again":            {declare(nil, short), declare(nil), map[string]string{"sandbox": "yes"}, "unreachable/300 sandbox not-ready/300"},
	} {
		admitted, err := Pod(w, tt.before)
		if err != nil {
			t.Fatal(err)
		}
		kept := Keep(admitted, tt.before, tt.now)
		var got []string
		for _, one := range kept.Spec.Tolerations {
			text := strings.TrimPrefix(one.Key, "node.kubernetes.io/")
			if one.TolerationSeconds != nil {
				text += fmt.Sprint("/", *one.TolerationSeconds)
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(tt.labels, kept.Spec.NodeSelector) + cmp.Diff(tt.tolerates, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: -want +kept:\n%s", name, diff)
		}
	}
}
