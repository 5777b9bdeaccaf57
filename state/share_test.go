package state

import (
	"strings"

	"iter"
	"slices"
	"testing"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
)

// A node that holds nothing but what its share yields must get the same answers, and nobody else's secrets.
func TestShare_IsEnough(t *testing.T) {
	secrets := 0
	for seed := range uint64(12) {
		walk(t, seed, 60, func(_ *World, _ Batch, _ []Change, w *World) {
			for _, n := range []Node{"node-1", "node-2", "node-3"} {
				whole := Share(w, n)
				held := slices.Collect(whole.Records())
				part := Share(Load(cluster, w.Revision(), w.History(), slices.Values(held)), n)
				compareViews(t, whole, part)
				secrets += checkSecrets(t, w, n, held)
			}
		})
	}
	if secrets == 0 {
		t.Error("no share held a secret at all: the histories prove nothing")
	}
}

func compareViews(t *testing.T, a, b View) {
	t.Helper()
	same := func(what string, x, y iter.Seq[*Record]) {
		t.Helper()
		if got, want := slices.Collect(y), slices.Collect(x); !slices.Equal(got, want) {
			t.Fatalf("%s of %s: %v, want %v", what, a.Self(), refs(got), refs(want))
		}
	}
	if a.Node() != b.Node() || a.Revision() != b.Revision() || a.Adopted().Commit != b.Adopted().Commit {
		t.Fatalf("the View of %s is of another World", a.Self())
	}
	same("nodes", a.Nodes(), b.Nodes())
	same("pods", a.Pods(), b.Pods())
	same("services", a.Services(""), b.Services(""))
	same("records", a.Records(), b.Records())
	for pod := range a.Pods() {
		same("kin", a.Kin(pod), b.Kin(pod))
	}
	for _, ns := range []string{"shop", "default"} {
		same("services", a.Services(ns), b.Services(ns))
		if a.Namespace(ns) != b.Namespace(ns) {
			t.Fatalf("namespace %s differs", ns)
		}
		for _, name := range []string{"x-a", "x-b", "x-c", "x-d", "x-e", "x-f", "default", "builder"} {
			same("slices", a.Slices(ns, name), b.Slices(ns, name))
			if a.Secret(ns, name) != b.Secret(ns, name) || a.ConfigMap(ns, name) != b.ConfigMap(ns, name) ||
				a.ServiceAccount(ns, name) != b.ServiceAccount(ns, name) || a.Pod(ns, name) != b.Pod(ns, name) || a.Service(ns, name) != b.Service(ns, name) {
				t.Fatalf("%s/%s differs for %s", ns, name, a.Self())
			}
		}
	}
}

// checkSecrets finds out by hand which secrets the node's Pods name.
func checkSecrets(t *testing.T, w *World, n Node, held []*Record) int {
	t.Helper()
	named := map[manifest.Ref]bool{}
	for r := range w.Records() {
		if pod := r.Pod(); pod != nil && r.Node == n {
			for _, v := range pod.Spec.Volumes {
				if v.Secret != nil {
					named[manifest.SecretRef(r.Ref.Namespace, v.Secret.SecretName)] = true
				}
			}
		}
	}
	count := 0
	for _, r := range held {
		if r.Ref.Kind == "Secret" {
			count++
			if !named[r.Ref] {
				t.Fatalf("the share of %s holds %s, which no Pod of it names", n, r.Ref)
			}
		}
		if r.Ref.Kind == "Pod" && r.Node != n {
			t.Fatalf("the share of %s holds %s of %q", n, r.Ref, r.Node)
		}
	}
	for ref := range named {
		if r := w.Get(ref); r != nil && !slices.Contains(held, r) {
			t.Fatalf("the share of %s lacks %s", n, ref)
		}
	}
	return count
}

func TestShare_PullSecretsOfServiceAccount(t *testing.T) {
	w := example(t)
	p := podPut("p", "shop:1")
	p.Node = "node-1"
	p.Object.(*corev1.Pod).Spec.ServiceAccountName = "builder"
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "shop", Name: name} }
	w = apply(t, w, reconcile(w, p,
		Put{Ref: manifest.ServiceAccountRef("shop", "builder"), Origin: Derived, Object: &corev1.ServiceAccount{
			ObjectMeta: meta("builder"), ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}}}},
		Put{Ref: manifest.SecretRef("shop", "registry"), Origin: Derived, Object: &corev1.Secret{ObjectMeta: meta("registry")}}))
	if Share(w, "node-1").Secret("shop", "registry") == nil {
		t.Error("the node of the Pod cannot pull with the secret of its ServiceAccount")
	}
	if Share(w, "node-2").Secret("shop", "registry") != nil || Share(w, "node-2").ServiceAccount("shop", "builder") != nil {
		t.Error("another node sees the secret")
	}
}

// What a Pod reads is remembered beside it, so that it can start again on an empty store.
func TestView_KinHoldsWhatThePodReads(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web",
		Annotations: map[string]string{PinnedConfigAnnotation: Pins{manifest.ConfigMapRef("", "settings"): "settings-abc"}.String()}}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "web", EnvFrom: []corev1.EnvFromSource{
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}},
		}}},
	}}
	config := func(name string) Put {
		return Put{Ref: manifest.ConfigMapRef("shop", name), Origin: Derived, Object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}}
	}
	pinned := func(name string) Put {
		p := config(name)
		p.Object.(*corev1.ConfigMap).Labels = map[string]string{PinnedLabel: "settings"}
		return p
	}
	w := NewWorld(uuid.New())
	w = apply(t, w, reconcile(w, config("settings"), config("other"), pinned("settings-abc"), pinned("settings-def"), Put{Ref: manifest.PodRef("shop", "web"), Origin: Derived, Object: pod, Node: "n"}))
	v := Share(w, "n")
	var kin []string
	for r := range v.Kin(w.Get(manifest.PodRef("shop", "web"))) {
		kin = append(kin, r.Ref.String())
	}
	if got := strings.Join(kin, " "); got != "ConfigMap/shop/settings ConfigMap/shop/settings-abc" {
		t.Errorf("kin %q, want the ConfigMap that the Pod reads, and the copy that it is pinned to", got)
	}
}
