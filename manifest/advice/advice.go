package advice

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"writ/manifest"
)

// Ignore is the annotation that silences rules on an object: their names with commas between, or "all".
const Ignore = "writ.dev/ignore-advice"

// Rule is one piece of advice.
type Rule struct {
	Name string
	Why  string // one sentence for people
	// look reports where an object does not follow the rule.
	look func(o *object)
}

// Finding is a place where a rule is not followed.
type Finding struct {
	Rule  string
	Ref   manifest.Ref
	Field string // path in the object; empty for the object as a whole
	What  string
	Why   string // that of the rule
}

// Rules are all there are, sorted by name.
func Rules() []Rule {
	all := slices.Concat(containerRules, podRules, workloadRules)
	slices.SortFunc(all, func(a, b Rule) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Of looks at every object of a commit. Findings are sorted by object, field and rule.
func Of(set *manifest.Set) []Finding {
	c := &commit{set: set, services: map[string][]labels.Selector{}, scaled: map[manifest.Ref]bool{}}
	for item := range set.All() {
		c.note(item)
	}
	rules := Rules()
	for item := range set.All() {
		silent := c.silenced(item, rules)
		if silent["all"] {
			continue
		}
		o := &object{commit: c, Item: item}
		o.labels, o.pods, o.at = manifest.Pods(item)
		for i := range rules {
			if o.rule = &rules[i]; !silent[o.rule.Name] {
				o.rule.look(o)
			}
		}
	}
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(a.Ref.Compare(b.Ref), strings.Compare(a.Field, b.Field), strings.Compare(a.Rule, b.Rule))
	})
	return c.findings
}

// commit is what the rules know beside the object that they look at.
type commit struct {
	set      *manifest.Set
	services map[string][]labels.Selector // by namespace
	scaled   map[manifest.Ref]bool        // to more than one replica, by an autoscaler
	findings []Finding
}

// silenced are the rules that an object's annotation names. A name that is none is itself a finding.
func (c *commit) silenced(item manifest.Item, rules []Rule) map[string]bool {
	text, given := item.Object.GetAnnotations()[Ignore]
	if !given {
		return nil
	}
	silent := make(map[string]bool)
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		silent[name] = true
		if name != "" && name != "all" && !slices.ContainsFunc(rules, func(r Rule) bool { return r.Name == name }) {
			c.findings = append(c.findings, Finding{"ignore-advice", item.Ref, "metadata.annotations[" + Ignore + "]", fmt.Sprintf("there is no rule %q", name), "a name that is misspelt silences nothing"})
		}
	}
	return silent
}

// object is what a rule looks at.
type object struct {
	*commit
	manifest.Item
	labels map[string]string // of its pods
	pods   *corev1.PodSpec   // nil if it makes none
	at     string            // path of pods
	rule   *Rule
}

// say reports that the rule is not followed, without values that were encrypted.
func (o *object) say(field, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if o.Guessed(what) {
		return
	}
	o.findings = append(o.findings, Finding{o.rule.Name, o.Ref, field, o.Hide([]string{what})[0], o.rule.Why})
}

// lasting tells whether the pods are meant to run until somebody ends them.
func (o *object) lasting() bool {
	return o.pods != nil && o.Ref.Kind != "PodTemplate" && (o.pods.RestartPolicy == corev1.RestartPolicyAlways || o.pods.RestartPolicy == "")
}

// served tells whether a Service of the commit sends requests to the pods.
func (o *object) served() bool {
	return slices.ContainsFunc(o.services[o.Ref.Namespace], func(s labels.Selector) bool { return s.Matches(labels.Set(o.labels)) })
}

// containers calls f with every container that runs as long as the pod does, and its path.
func (o *object) containers(f func(c *corev1.Container, at string)) {
	if o.pods == nil {
		return
	}
	for i := range o.pods.Containers {
		f(&o.pods.Containers[i], fmt.Sprintf("%s.containers[%d]", o.at, i))
	}
}

// everyContainer calls f with the init containers too.
func (o *object) everyContainer(f func(c *corev1.Container, at string)) {
	o.containers(f)
	if o.pods == nil {
		return
	}
	for i := range o.pods.InitContainers {
		f(&o.pods.InitContainers[i], fmt.Sprintf("%s.initContainers[%d]", o.at, i))
	}
}
