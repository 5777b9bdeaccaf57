package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/state"
)

const reader = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "img:1", envFrom: [{configMapRef: {name: app}}, {secretRef: {name: db}}]}]}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: app}, data: {colour: red}}
---
{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {password: hunter2}}
`

// older makes a World as a daemon made it that knew no copies.
func older(t *testing.T, c *scenario.Cluster) {
	t.Helper()
	adopted := c.World.Adopted()
	old := state.Batch{Writer: state.WriterReconcile, Base: c.World.Revision(), Adopt: &adopted, Now: c.Now}
	for r := range c.World.Records() {
		switch {
		case state.PinnedCopy(r):
			old.Deletes = append(old.Deletes, state.Delete{Ref: r.Ref, UID: r.UID})
		case r.Pod() != nil:
			pod := r.Pod().DeepCopy()
			delete(pod.Annotations, state.PinnedConfigAnnotation)
			old.Puts = append(old.Puts, state.Put{Ref: r.Ref, UID: r.UID, Object: pod, Origin: r.Origin})
		case r.Ref.Kind == "ReplicaSet":
			rs := r.Object.DeepCopyObject().(*appsv1.ReplicaSet)
			delete(rs.Spec.Template.Annotations, state.PinnedConfigAnnotation)
			old.Puts = append(old.Puts, state.Put{Ref: r.Ref, UID: r.UID, Object: rs, Origin: r.Origin})
		}
	}
	if len(old.Deletes) != 2 || len(old.Puts) != 3 {
		t.Fatalf("%d copies and %d others, want 2 and 3", len(old.Deletes), len(old.Puts))
	}
	if _, err := c.Apply(old); err != nil {
		t.Fatal(err)
	}
}

// running is what must survive: every Pod and ReplicaSet with its UID.
func running(w *state.World) string {
	var b strings.Builder
	for r := range w.Records() {
		if r.Pod() != nil || r.Ref.Kind == "ReplicaSet" {
			fmt.Fprintln(&b, r.Ref, r.UID, r.Node)
		}
	}
	return b.String()
}

// A cluster from before there were copies is not rolled by a daemon that makes them, neither at the start nor by a
// commit that changes something else; one that changes the configuration rolls it, also if it is the first thing that
// the new daemon sees, and until then its Pods keep what they run with.
func TestConfig_AfterAnUpgrade(t *testing.T) {
	blue := strings.Replace(reader, "red", "blue", 1)
	for _, first := range []string{"the daemon", "the commit"} {
		c := scenario.NewCluster()
		mustCommit(t, c, files("web.yaml", reader))
		before := running(c.World)
		older(t, c)
		if first == "the daemon" {
			if plan, err := c.Compute(); err != nil || len(plan.Events) > 0 {
				t.Fatalf("the first plan: %v\n%s, want no Pod made or ended", err, plan)
			}
			if plan, err := c.Compute(); err != nil || !plan.Empty() {
				t.Errorf("the next plan: %v\n%s, want none", err, plan)
			}
			mustCommit(t, c, files("web.yaml", reader, "cm.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"))
			if after := running(c.World); after != before {
				t.Errorf("after the upgrade there are\n%swant\n%s", after, before)
			}
		}
		mustCommit(t, c, files("web.yaml", blue))
		var sets []string
		for r := range c.World.List("apps", "ReplicaSet", "default") {
			pins := state.PinsOf(r.Object.(*appsv1.ReplicaSet).Spec.Template.Annotations)
			copied := c.World.Get(manifest.ConfigMapRef("default", pins[manifest.ConfigMapRef("", "app")]))
			if copied == nil {
				t.Fatalf("first %s: %s names no copy: %v", first, r.Ref, pins)
			}
			sets = append(sets, fmt.Sprint(copied.Object))
		}
		slices.Sort(sets)
		if len(sets) != 2 || !strings.Contains(sets[0], "blue") || !strings.Contains(sets[1], "red") {
			t.Errorf("first %s: the ReplicaSets read %q, want one of blue and one of red", first, sets)
		}
	}
}

// Another key, as after the loss of its file, rolls nothing; nor does a change of whether changes are followed.
func TestConfig_OtherKeyAndOptingOut(t *testing.T) {
	c := scenario.NewCluster()
	mustCommit(t, c, files("web.yaml", reader))
	before := running(c.World)
	c.Options.ConfigKey = []byte("another")
	if plan, err := c.Compute(); err != nil || !plan.Empty() {
		t.Errorf("with another key: %v\n%s, want nothing to do", err, plan)
	}
	out := strings.Replace(reader, "{name: web}", `{name: web, annotations: {writ.dev/restart-on-config-change: "false"}}`, 1)
	copies := func() (n int) {
		for r := range c.World.Records() {
			if state.PinnedCopy(r) {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		what, tree string
		copies     int
	}{{"opting out", out, 0}, {"a change meanwhile", strings.Replace(out, "red", "blue", 1), 0}, {"following again", strings.Replace(reader, "red", "blue", 1), 2}} {
		mustCommit(t, c, files("web.yaml", step.tree))
		if after := running(c.World); after != before {
			t.Errorf("%s: there are\n%swant\n%s", step.what, after, before)
		}
		if n := copies(); n != step.copies {
			t.Errorf("%s: %d copies, want %d", step.what, n, step.copies)
		}
	}
}

// What a template shows of its configuration does not tell the content to who does not have the key.
func TestConfig_DigestIsKeyed(t *testing.T) {
	names := map[string]bool{}
	for _, key := range []string{"one", "two"} {
		c := scenario.NewCluster()
		c.Options.ConfigKey = []byte(key)
		mustCommit(t, c, files("web.yaml", reader))
		for r := range c.World.List("", "Secret", "default") {
			if state.PinnedCopy(r) {
				names[r.Ref.Name] = true
			}
		}
		for r := range c.World.Records() {
			if text := fmt.Sprint(r.Object); r.Ref.Kind != "Secret" && strings.Contains(text, "hunter2") {
				t.Errorf("%s shows the secret: %s", r.Ref, text)
			}
		}
	}
	if len(names) != 2 {
		t.Errorf("with two keys the copies are called %v, want two names", names)
	}
}

// Who comes back to following keeps what runs, also if there is an older ReplicaSet of the same template and content.
func TestConfig_ComingBackRollsNothing(t *testing.T) {
	blue := strings.Replace(reader, "red", "blue", 1)
	out := func(tree string) string {
		return strings.Replace(tree, "{name: web}", `{name: web, annotations: {writ.dev/restart-on-config-change: "false"}}`, 1)
	}
	c := scenario.NewCluster()
	for _, tree := range []string{reader, blue} {
		c.Now = c.Now.Add(time.Minute) // the second ReplicaSet is younger
		mustCommit(t, c, files("web.yaml", tree))
	}
	before := pods(c.World)
	for n, tree := range []string{out(blue), out(reader), reader} {
		mustCommit(t, c, files("web.yaml", tree))
		if after := pods(c.World); after != before {
			t.Fatalf("after commit %d there are\n%swant\n%s", n, after, before)
		}
	}
	mustCommit(t, c, files("web.yaml", blue))
	if after := pods(c.World); after == before {
		t.Errorf("another content rolled nothing: there are\n%s", after)
	}
}

// pods are those that are there, with their UIDs.
func pods(w *state.World) string {
	var b strings.Builder
	for r := range w.Pods("default") {
		fmt.Fprintln(&b, r.Ref, r.UID)
	}
	return b.String()
}
