package schedule

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

func racked(name, rack string) *state.Record {
	return nodeRecord(name, func(n *corev1.Node, _ *corev1.NodeStatus) { n.Labels["rack"] = rack })
}

func labelled(name, label string, change func(*corev1.Pod)) *corev1.Pod {
	return podOf(name, "100m", "", func(p *corev1.Pod) {
		key, value, _ := strings.Cut(label, "=")
		p.Labels = map[string]string{key: value}
		if change != nil {
			change(p)
		}
	})
}

func rule(key, label string) corev1.PodAffinityTerm {
	k, v, _ := strings.Cut(label, "=")
	return corev1.PodAffinityTerm{TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{k: v}}}
}

func near(t ...corev1.PodAffinityTerm) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: t}}
	}
}

func apart(t ...corev1.PodAffinityTerm) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: t}}
	}
}

func preferNear(weight int32, t corev1.PodAffinityTerm) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: weight, PodAffinityTerm: t}},
		}}
	}
}

func preferApart(weight int32, t corev1.PodAffinityTerm) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: weight, PodAffinityTerm: t}},
		}}
	}
}

// Nodes a and b are in rack 1, c in rack 2; web runs on a, lonely on c wants no other lonely in its rack.
func racks() []*state.Record {
	return []*state.Record{
		racked("a", "1"), racked("b", "1"), racked("c", "2"), nodeRecord("d", nil),
		{Ref: manifest.NamespaceRef("other"), Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "other", Labels: map[string]string{"team": "x"}}}},
		podRecord(labelled("web", "app=web", nil), "a"),
		podRecord(labelled("lonely", "app=lonely", apart(rule("rack", "app=lonely"))), "c"),
	}
}

func TestPlace_Company(t *testing.T) {
	elsewhere := func(p *corev1.Pod) { p.Namespace = "other" }
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		want string // nodes that can take it, or why none can
	}{
		{"no rules", labelled("p", "app=x", nil), "a b c d"},
		{"near by rack", labelled("p", "app=x", near(rule("rack", "app=web"))), "a b"},
		{"near by host", labelled("p", "app=x", near(rule(corev1.LabelHostname, "app=web"))), "a"},
		{"near two that nobody is at once", labelled("p", "app=x", near(rule("rack", "app=web"), rule("rack", "app=lonely"))),
			"0/4 nodes are available: 4 node(s) didn't match pod affinity rules."},
		{"the first of a group", labelled("p", "app=new", near(rule("rack", "app=new"))), "a b c"},
		{"near nobody, and a foe of one", labelled("p", "app=lonely", near(rule("rack", "app=new"))), "0/4 nodes are available: 4 node(s) didn't match pod affinity rules."},
		{"every reason, as upstream asks for them", labelled("p", "app=lonely", func(p *corev1.Pod) {
			near(rule(corev1.LabelHostname, "app=lonely"))(p)
			p.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{rule("rack", "app=lonely")}}
		}), "0/4 nodes are available: 1 node(s) didn't match pod anti-affinity rules, 3 node(s) didn't match pod affinity rules."},
		{"no room, and no company either", labelled("p", "app=x", func(p *corev1.Pod) {
			near(rule(corev1.LabelHostname, "app=web"))(p)
			p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("4")
		}), "0/4 nodes are available: 2 Insufficient cpu (requested 4, free 3900m), 2 node(s) didn't match pod affinity rules."},
		{"near nobody", labelled("p", "app=x", near(rule("rack", "app=new"))), "0/4 nodes are available: 4 node(s) didn't match pod affinity rules."},
		{"apart by rack", labelled("p", "app=x", apart(rule("rack", "app=web"))), "c d"},
		{"apart by host", labelled("p", "app=x", apart(rule(corev1.LabelHostname, "app=web"))), "b c d"},
		{"not wanted by another", labelled("p", "app=lonely", nil), "a b d"},
		{"of another namespace", labelled("p", "app=lonely", elsewhere), "a b c d"},
		{"near one of another namespace", labelled("p", "app=x", func(p *corev1.Pod) { elsewhere(p); near(rule("rack", "app=web"))(p) }),
			"0/4 nodes are available: 4 node(s) didn't match pod affinity rules."},
		{"of namespaces by name", labelled("p", "app=x", func(p *corev1.Pod) {
			elsewhere(p)
			r := rule("rack", "app=web")
			r.Namespaces = []string{"default"}
			near(r)(p)
		}), "a b"},
		{"of namespaces by label", labelled("p", "app=x", func(p *corev1.Pod) {
			r := rule("rack", "app=web")
			r.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "x"}}
			apart(r)(p)
		}), "a b c d"},
		{"of all namespaces", labelled("p", "app=x", func(p *corev1.Pod) {
			elsewhere(p)
			r := rule("rack", "app=web")
			r.NamespaceSelector = &metav1.LabelSelector{}
			apart(r)(p)
		}), "c d"},
		{"with the same label", labelled("p", "app=web", func(p *corev1.Pod) {
			near(corev1.PodAffinityTerm{TopologyKey: "rack", LabelSelector: &metav1.LabelSelector{}, MatchLabelKeys: []string{"app"}})(p)
		}), "a b"},
		{"with another label", labelled("p", "app=web", func(p *corev1.Pod) {
			apart(corev1.PodAffinityTerm{TopologyKey: "rack", LabelSelector: &metav1.LabelSelector{}, MismatchLabelKeys: []string{"app"}})(p)
		}), "a b d"},
	} {
		x := indexOf(racks()...)
		if got := takers(x, c.pod); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// takers are the nodes that would take a Pod, found by asking again and again for another.
func takers(x *Index, pod *corev1.Pod) string {
	var names []string
	x.settle()
	for {
		to, why := x.Place(pod)
		if to == "" {
			if len(names) == 0 {
				return why
			}
			slices.Sort(names)
			return strings.Join(names, " ")
		}
		names = append(names, string(to))
		n := x.byName[string(to)]
		full := nodeRecord(n.name, func(o *corev1.Node, s *corev1.NodeStatus) { o.Labels, s.Allocatable = n.object.Labels, nil })
		x.Update([]state.Change{{Ref: full.Ref, New: full}})
	}
}

func TestPlace_Preferences(t *testing.T) {
	shy := nodeRecord("shy", func(n *corev1.Node, _ *corev1.NodeStatus) {
		n.Spec.Taints = []corev1.Taint{{Key: "k", Value: "v", Effect: corev1.TaintEffectPreferNoSchedule}}
	})
	busy := func(on state.Node) *state.Record { return podRecord(podOf("busy", "3", "6Gi", nil), on) }
	fast := func(weight int32, value string) corev1.PreferredSchedulingTerm {
		return corev1.PreferredSchedulingTerm{Weight: weight, Preference: corev1.NodeSelectorTerm{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "rack", Operator: corev1.NodeSelectorOpIn, Values: []string{value}}},
		}}
	}
	racked12 := []*state.Record{racked("a", "1"), racked("c", "2")}
	for _, c := range []struct {
		name    string
		records []*state.Record
		pod     *corev1.Pod
		want    state.Node
	}{
		{"rather not a shy one", []*state.Record{nodeRecord("z", nil), shy, busy("z")}, podOf("p", "100m", "", nil), "z"},
		{"a shy one for who tolerates it", []*state.Record{nodeRecord("z", nil), shy, busy("z")},
			podOf("p", "100m", "", func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} }), "shy"},
		{"the heavier of two labels", racked12, podOf("p", "100m", "", func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{fast(20, "1"), fast(100, "2")},
			}}
		}), "c"},
		{"near a friend, though it is busy there", append(slices.Clone(racked12), busy("c"), podRecord(labelled("web", "app=web", nil), "c")),
			labelled("p", "app=x", preferNear(100, rule("rack", "app=web"))), "c"},
		{"far from a foe", append(slices.Clone(racked12), busy("c"), podRecord(labelled("web", "app=web", nil), "a")),
			labelled("p", "app=x", preferApart(100, rule("rack", "app=web"))), "c"},
		{"where a friend wants it", append(slices.Clone(racked12), busy("c"), podRecord(labelled("web", "app=web", preferNear(100, rule("rack", "app=x"))), "c")),
			labelled("p", "app=x", nil), "c"},
		{"where one needs it", append(slices.Clone(racked12), busy("c"), podRecord(labelled("web", "app=web", near(rule("rack", "app=x"))), "c")),
			labelled("p", "app=x", nil), "c"},
	} {
		x := indexOf(c.records...)
		if got, why := x.Place(c.pod); got != c.want {
			t.Errorf("%s: got %q (%s), want %q", c.name, got, why, c.want)
		}
	}
}

// What an Index remembers goes with the Pod, the node and the namespace.
func TestIndex_ForgetsCompany(t *testing.T) {
	records := racks()
	x := indexOf(records...)
	for _, r := range records {
		x.Update([]state.Change{{Ref: r.Ref, Old: r}})
	}
	if len(x.bound) != 0 || len(x.pods) != 0 || len(x.spaces) != 0 || x.shy != 0 {
		t.Errorf("it remembers %d rules, %d pods, %d namespaces, %d shy nodes", len(x.bound), len(x.pods), len(x.spaces), x.shy)
	}
}
