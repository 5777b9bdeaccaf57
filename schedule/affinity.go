package schedule

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// term is one rule of affinity or anti-affinity between Pods, ready to be asked.
type term struct {
	key        string // of the node label that says what is near
	pods       labels.Selector
	namespaces []string
	spaces     labels.Selector // of namespaces by label; nil for none
	weight     int64           // of a preference
}

// bonds are the rules that one Pod has for its company.
type bonds struct {
	near, apart             []term // required
	preferNear, preferApart []term
}

func (b *bonds) none() bool {
	return b == nil || len(b.near)+len(b.apart)+len(b.preferNear)+len(b.preferApart) == 0
}

// bondsOf reads a Pod's rules, nil if it has none. A selector that cannot be read selects nothing;
// validation has refused it long before.
func bondsOf(pod *corev1.Pod) *bonds {
	a := pod.Spec.Affinity
	if a == nil || a.PodAffinity == nil && a.PodAntiAffinity == nil {
		return nil
	}
	var b bonds
	if p := a.PodAffinity; p != nil {
		b.near = required(pod, p.RequiredDuringSchedulingIgnoredDuringExecution)
		b.preferNear = preferred(pod, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		b.apart = required(pod, p.RequiredDuringSchedulingIgnoredDuringExecution)
		b.preferApart = preferred(pod, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if b.none() {
		return nil
	}
	return &b
}

func required(pod *corev1.Pod, list []corev1.PodAffinityTerm) []term {
	var all []term
	for i := range list {
		all = append(all, newTerm(pod, &list[i], 0))
	}
	return all
}

func preferred(pod *corev1.Pod, list []corev1.WeightedPodAffinityTerm) []term {
	var all []term
	for i := range list {
		all = append(all, newTerm(pod, &list[i].PodAffinityTerm, int64(list[i].Weight)))
	}
	return all
}

// newTerm reads a rule as upstream does: without namespaces it is about the Pod's own, and keys of
// matchLabelKeys stand for the Pod's own value, those of mismatchLabelKeys for any other.
func newTerm(pod *corev1.Pod, t *corev1.PodAffinityTerm, weight int64) term {
	made := term{key: t.TopologyKey, namespaces: t.Namespaces, weight: weight, pods: selector(t.LabelSelector)}
	made.pods = withKeys(made.pods, pod, t.MatchLabelKeys, metav1.LabelSelectorOpIn)
	made.pods = withKeys(made.pods, pod, t.MismatchLabelKeys, metav1.LabelSelectorOpNotIn)
	if t.NamespaceSelector != nil {
		made.spaces = selector(t.NamespaceSelector)
	} else if len(t.Namespaces) == 0 {
		made.namespaces = []string{pod.Namespace}
	}
	return made
}

func selector(s *metav1.LabelSelector) labels.Selector {
	made, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return made
}

func withKeys(s labels.Selector, pod *corev1.Pod, keys []string, operator metav1.LabelSelectorOperator) labels.Selector {
	for _, key := range keys {
		value, ok := pod.Labels[key]
		if !ok {
			continue
		}
		more, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: []string{value}}},
		})
		if err != nil {
			return labels.Nothing()
		}
		requirements, _ := more.Requirements()
		s = s.Add(requirements...)
	}
	return s
}

// person is what rules look at of a Pod.
type person struct {
	namespace string
	labels    map[string]string
}

func personOf(pod *corev1.Pod) person { return person{pod.Namespace, pod.Labels} }

// about says that a rule is about a Pod.
func (x *Index) about(t *term, p person) bool {
	if !slices.Contains(t.namespaces, p.namespace) && (t.spaces == nil || !t.spaces.Matches(labels.Set(x.spaces[p.namespace]))) {
		return false
	}
	return t.pods.Matches(labels.Set(p.labels))
}

// place is a value of a node label: what is near each other shares it.
type place struct{ key, value string }

// in is the place of a node by a key.
func (n *node) in(key string) (place, bool) {
	if n == nil || n.object == nil {
		return place{}, false
	}
	value, ok := n.object.Labels[key]
	return place{key, value}, ok
}

// company is what the Pods that are there mean for one that is to come.
type company struct {
	bonds  *bonds
	near   map[place]int  // of Pods that all its rules are about, by the place that each rule looks at
	self   bool           // it is such a Pod itself
	apart  map[place]bool // where it does not want to be
	banned map[place]bool // where others do not want it
	worth  map[place]int64
}

// companyOf works out, once for all nodes, where a Pod may be. It is nil when neither the Pod nor any
// other has rules, which costs nothing.
func (x *Index) companyOf(pod *corev1.Pod) *company {
	bonds := bondsOf(pod)
	if bonds == nil && len(x.bound) == 0 {
		return nil
	}
	c := &company{bonds: bonds, near: map[place]int{}, apart: map[place]bool{}, banned: map[place]bool{}, worth: map[place]int64{}}
	who := personOf(pod)
	if bonds != nil {
		c.self = x.all(c.bonds.near, who)
		for _, p := range x.pods {
			x.meet(c, x.byName[p.node], p.person)
		}
	}
	for uid, b := range x.bound {
		x.met(c, x.byName[x.pods[uid].node], b, who)
	}
	return c
}

func (x *Index) all(terms []term, p person) bool {
	return !slices.ContainsFunc(terms, func(t term) bool { return !x.about(&t, p) })
}

// meet counts a Pod that is there by the rules of the one that comes.
func (x *Index) meet(c *company, n *node, p person) {
	if len(c.bonds.near) > 0 && x.all(c.bonds.near, p) {
		for i := range c.bonds.near {
			if at, ok := n.in(c.bonds.near[i].key); ok {
				c.near[at]++
			}
		}
	}
	for i := range c.bonds.apart {
		if at, ok := n.in(c.bonds.apart[i].key); ok && x.about(&c.bonds.apart[i], p) {
			c.apart[at] = true
		}
	}
	x.value(c, n, c.bonds.preferNear, p, 1)
	x.value(c, n, c.bonds.preferApart, p, -1)
}

// met counts a Pod that is there by its own rules.
func (x *Index) met(c *company, n *node, b *bonds, who person) {
	for i := range b.apart {
		if at, ok := n.in(b.apart[i].key); ok && x.about(&b.apart[i], who) {
			c.banned[at] = true
		}
	}
	for i := range b.near { // upstream's hardPodAffinityWeight is 1
		if at, ok := n.in(b.near[i].key); ok && x.about(&b.near[i], who) {
			c.worth[at]++
		}
	}
	x.value(c, n, b.preferNear, who, 1)
	x.value(c, n, b.preferApart, who, -1)
}

func (x *Index) value(c *company, n *node, terms []term, p person, sign int64) {
	for i := range terms {
		if at, ok := n.in(terms[i].key); ok && x.about(&terms[i], p) {
			c.worth[at] += sign * terms[i].weight
		}
	}
}

// refuses is upstream's reason why a node is not the place for the Pod, empty if it is.
func (c *company) refuses(n *node) string {
	if c == nil {
		return ""
	}
	if c.bonds != nil {
		if !c.joins(n) {
			return "node(s) didn't match pod affinity rules"
		}
		for i := range c.bonds.apart {
			if at, ok := n.in(c.bonds.apart[i].key); ok && c.apart[at] {
				return "node(s) didn't match pod anti-affinity rules"
			}
		}
	}
	if n.object != nil {
		for key, value := range n.object.Labels {
			if c.banned[place{key, value}] {
				return "node(s) didn't satisfy existing pods anti-affinity rules"
			}
		}
	}
	return ""
}

// joins says that all are near a node that the Pod wants to be near.
func (c *company) joins(n *node) bool {
	there := true
	for i := range c.bonds.near {
		at, ok := n.in(c.bonds.near[i].key)
		if !ok {
			return false
		}
		there = there && c.near[at] > 0
	}
	return there || len(c.near) == 0 && c.self // the first of a group may be anywhere
}

// likes is what a node is worth by the preferences of all.
func (c *company) likes(n *node) (sum int64) {
	if c == nil || n.object == nil {
		return 0
	}
	for key, value := range n.object.Labels {
		sum += c.worth[place{key, value}]
	}
	return sum
}
