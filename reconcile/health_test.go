package reconcile_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/reconcile"
	"writ/reconcile/sim"
	"writ/state"
)

func TestHealth(t *testing.T) {
	c := scenario.NewCluster()
	c.Nodes["node-1"] = sim.Node{Behave: func(p *corev1.Pod) sim.Behaviour {
		return sim.Behaviour{NeverReady: p.Spec.Containers[0].Image == "img:slow"}
	}}
	tree := web + `---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: slow}, spec: {selector: {matchLabels: {app: slow}}, template: {metadata: {labels: {app: slow}}, spec: {containers: [{name: c, image: "img:slow"}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: big}, spec: {selector: {matchLabels: {app: big}}, template: {metadata: {labels: {app: big}}, spec: {containers: [{name: c, image: "img:1", resources: {requests: {cpu: "64"}}}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: paused}, spec: {paused: true, selector: {matchLabels: {app: paused}}, template: {metadata: {labels: {app: paused}}, spec: {containers: [{name: c, image: "img:1"}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: nobody}, spec: {selector: {app: nobody}, ports: [{port: 80}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny}, spec: {podSelector: {}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {suspend: true, schedule: "0 0 * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "img:1"}]}}}}}}
---
{apiVersion: v1, kind: PodTemplate, metadata: {name: kept}, template: {spec: {containers: [{name: c, image: "img:1"}]}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: spread}, spec: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}], containers: [{name: c, image: "img:1"}]}}
`
	mustCommit(t, c, files("all.yaml", tree))
	deployment := func(name string) manifest.Ref { return manifest.DeploymentRef("default", name) }
	tests := []struct {
		ref   manifest.Ref
		state reconcile.State
		why   string // a part of it
	}{
		{deployment("web"), reconcile.Healthy, ""},
		{deployment("slow"), reconcile.Progressing, "0 of 1 updated replicas are available"},
		{deployment("big"), reconcile.Degraded, "Insufficient cpu (requested 64, free 4)"},
		{deployment("paused"), reconcile.Suspended, "paused"},
		{deployment("none"), reconcile.Missing, "not there"},
		{manifest.PodRef("default", "lone"), reconcile.Healthy, ""},
		{manifest.PodRef("default", "spread"), reconcile.NotStarted, "spec.topologySpreadConstraints: "},
		{manifest.ServiceRef("default", "web"), reconcile.Healthy, ""},
		{manifest.ServiceRef("default", "nobody"), reconcile.Healthy, "no ready endpoints"},
		{manifest.NodeRef("node-1"), reconcile.Healthy, ""},
		{manifest.Ref{Group: "networking.k8s.io", Kind: "NetworkPolicy", Namespace: "default", Name: "deny"}, reconcile.Unenforced, "not enforced"},
		{manifest.Ref{Group: "batch", Kind: "CronJob", Namespace: "default", Name: "nightly"}, reconcile.Suspended, "suspended"},
		{manifest.Ref{Kind: "PodTemplate", Namespace: "default", Name: "kept"}, reconcile.Stored, "not acted on"},
	}
	for _, test := range tests {
		s, why := reconcile.Health(c.World, test.ref)
		if s != test.state || !strings.Contains(why, test.why) || test.why == "" && why != "" {
			t.Errorf("%s: got %s %q, want %s %q", test.ref, s, why, test.state, test.why)
		}
	}

	var pod *state.Record
	for r := range c.World.Pods("default") {
		if strings.HasPrefix(r.Ref.Name, "web-") {
			pod = r
		}
	}
	sick := pod.PodStatus().DeepCopy()
	for i := range sick.Conditions {
		if sick.Conditions[i].Type == corev1.PodReady {
			sick.Conditions[i].Status = corev1.ConditionFalse
		}
	}
	sick.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}}
	if _, err := c.Apply(state.Batch{Writer: state.NodeWriter("node-1"), Now: c.Now, Puts: []state.Put{{Ref: pod.Ref, Status: sick}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compute(); err != nil {
		t.Fatal(err)
	}
	want := "1 of 2 updated replicas are available: pod " + pod.Ref.Name + ": container c: CrashLoopBackOff: back-off 10s"
	if s, why := reconcile.Health(c.World, deployment("web")); s != reconcile.Degraded || why != want {
		t.Errorf("a crashing pod: got %s %q, want Degraded %q", s, why, want)
	}
}

// How a Pod ended is told with upstream's reason, of init containers too.
func TestHealth_HowItEnded(t *testing.T) {
	end := func(name, reason string, code, signal int32, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code, Signal: signal, Message: message}}}
	}
	tests := map[string]corev1.PodStatus{
		"failed: container c: OOMKilled, exit code 137":                     {ContainerStatuses: []corev1.ContainerStatus{end("ok", "Completed", 0, 0, ""), end("c", "OOMKilled", 137, 0, "")}},
		"failed: container c: Error, exit code 137 by signal 9: last words": {ContainerStatuses: []corev1.ContainerStatus{end("c", "Error", 137, 9, "last words\n")}},
		"failed: container setup: Error, exit code 3":                       {InitContainerStatuses: []corev1.ContainerStatus{end("setup", "Error", 3, 0, "")}},
		"failed: The node was low on resource: memory.":                     {Message: "The node was low on resource: memory.", Reason: "Evicted"},
	}
	c := scenario.NewCluster()
	mustCommit(t, c, files("web.yaml", web))
	ref := manifest.PodRef("default", "lone")
	for want, status := range tests {
		status.Phase = corev1.PodFailed
		if _, err := c.Apply(state.Batch{Writer: state.NodeWriter("node-1"), Now: c.Now, Puts: []state.Put{{Ref: ref, Status: &status}}}); err != nil {
			t.Fatal(err)
		}
		if s, why := reconcile.Health(c.World, ref); s != reconcile.Degraded || why != want {
			t.Errorf("got %s %q, want Degraded %q", s, why, want)
		}
	}
}

// The Deployment shows the number of its rollout as upstream annotates it, and its author's annotations.
func TestDeployment_Revision(t *testing.T) {
	c := scenario.NewCluster()
	shown := func() string {
		t.Helper()
		a := c.World.Get(manifest.DeploymentRef("default", "web")).Full().GetAnnotations()
		return a["deployment.kubernetes.io/revision"] + a["note"]
	}
	annotated := strings.Replace(web, "{name: web}", "{name: web, annotations: {note: mine}}", 1)
	for i, step := range []struct{ tree, want string }{
		{annotated, "1mine"}, {strings.ReplaceAll(annotated, "img:1", "img:2"), "2mine"}, {web, "3"},
	} {
		mustCommit(t, c, files("web.yaml", step.tree))
		if got := shown(); got != step.want {
			t.Errorf("after commit %d: got %q, want %q", i+1, got, step.want)
		}
	}
	if a := c.World.Get(manifest.DeploymentRef("default", "web")).Object.GetAnnotations(); len(a) != 0 {
		t.Errorf("the authored object was annotated: %v", a)
	}
}
