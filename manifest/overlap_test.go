package manifest

import (
	"fmt"
	"strings"
	"testing"
)

func owner(kindName, namespace, name, selector, labels string) string {
	extra := ""
	if kindName == "StatefulSet" {
		extra = "serviceName: s, "
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: %s
metadata: {name: %s, namespace: %s}
spec: {%sselector: %s, template: {metadata: {labels: %s}, spec: {containers: [{name: c, image: c}]}}}
---
`, kindName, name, namespace, extra, selector, labels)
}

func TestLoad_OverlappingSelectors(t *testing.T) {
	const d, rs, ss = "Deployment", "ReplicaSet", "StatefulSet"
	for _, test := range []struct {
		name, a, b string
		want       bool
	}{
		{"different", owner(d, "default", "a", "{matchLabels: {x: a}}", "{x: a}"), owner(d, "default", "b", "{matchLabels: {x: b}}", "{x: b}"), false},
		{"equal", owner(d, "default", "a", "{matchLabels: {x: a}}", "{x: a}"), owner(rs, "default", "b", "{matchLabels: {x: a}}", "{x: a}"), true},
		{"other namespace", owner(d, "default", "a", "{matchLabels: {x: a}}", "{x: a}"), owner(d, "kube-system", "b", "{matchLabels: {x: a}}", "{x: a}"), false},
		{"one broader", owner(d, "default", "a", "{matchLabels: {x: a}}", "{x: a, z: a}"), owner(ss, "default", "b", "{matchLabels: {x: a, z: b}}", "{x: a, z: b}"), true},
		{"a label in common", owner(d, "default", "a", "{matchLabels: {x: a, z: a}}", "{x: a, z: a}"), owner(d, "default", "b", "{matchLabels: {x: a, z: b}}", "{x: a, z: b}"), false},
		{"in a set", owner(d, "default", "a", "{matchExpressions: [{key: x, operator: In, values: [a, b]}]}", "{x: a}"), owner(d, "default", "b", "{matchLabels: {x: b}}", "{x: b}"), true},
		{"exists", owner(d, "default", "a", "{matchExpressions: [{key: x, operator: Exists}]}", "{x: a}"), owner(d, "default", "b", "{matchLabels: {x: b}}", "{x: b}"), true},
		{"exists something else", owner(d, "default", "a", "{matchExpressions: [{key: z, operator: Exists}]}", "{z: a}"), owner(d, "default", "b", "{matchLabels: {x: b}}", "{x: b}"), false},
		{"not in", owner(d, "default", "a", "{matchExpressions: [{key: x, operator: NotIn, values: [c]}]}", "{x: a}"), owner(d, "default", "b", "{matchLabels: {x: b}}", "{x: b}"), true},
		{"not in and not taken", owner(d, "default", "a", "{matchExpressions: [{key: x, operator: NotIn, values: [b]}]}", "{x: a}"), owner(d, "default", "b", "{matchLabels: {x: b}}", "{x: b}"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			check := func(how, got string) {
				t.Helper()
				if strings.Contains(got, "overlaps the selector of") != test.want || !test.want && got != "" {
					t.Errorf("%s: %q, want overlap %v", how, got, test.want)
				}
			}
			check("together", mistakesOf(t, tree(t, "-- a.yaml --\n"+test.a+test.b)))
			check("the other way round", mistakesOf(t, tree(t, "-- a.yaml --\n"+test.b+test.a)))
			first := newHashed(tree(t, "-- a.yaml --\n"+test.a))
			_, err := Load(first.with("b.yaml", test.b), mustLoad(t, first, nil))
			got := ""
			if err != nil {
				got = err.Error()
			}
			check("one after the other", got)
		})
	}
}

func TestLoad_ManyOverlapsEndSoon(t *testing.T) {
	var same, negative strings.Builder
	for i := range 500 {
		name := fmt.Sprintf("d%04d", i)
		same.WriteString(owner("Deployment", "default", name, "{matchLabels: {a: b}}", "{a: b}"))
		negative.WriteString(owner("Deployment", "default", name, "{matchExpressions: [{key: a, operator: NotIn, values: [b]}, {key: c, operator: DoesNotExist}]}", "{a: c}"))
	}
	got := mistakesOf(t, tree(t, "-- a.yaml --\n"+same.String()))
	if n := strings.Count(got, "\n") + 1; n != maxMistakesOfFile {
		t.Errorf("%d mistakes, want %d", n, maxMistakesOfFile)
	}
	if again := mistakesOf(t, tree(t, "-- a.yaml --\n"+same.String())); again != got {
		t.Error("the mistakes of one tree differ from time to time")
	}
	if got := mistakesOf(t, tree(t, "-- a.yaml --\n"+negative.String())); !strings.Contains(got, "overlaps") {
		t.Errorf("got %.500s", got)
	}
}
