package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/reconcile"
	"writ/reconcile/sim"
)

// A Pod ends with its containers, unless its restartPolicy starts them again: at once, then after growing delays.
func TestNode_End(t *testing.T) {
	for _, tt := range []struct {
		policy corev1.RestartPolicy
		code   int32
		want   string
	}{
		{corev1.RestartPolicyNever, 0, "0 Running, 5 Succeeded 0"},
		{corev1.RestartPolicyNever, 3, "0 Running, 5 Failed 3"},
		{corev1.RestartPolicyOnFailure, 0, "0 Running, 5 Succeeded 0"},
		{corev1.RestartPolicyOnFailure, 3, "0 Running, 5 Running #1, 10 CrashLoopBackOff 3 #1, 20 Running #2, 25 CrashLoopBackOff 3 #2, 45 Running #3, 50 CrashLoopBackOff 3 #3"},
		{corev1.RestartPolicyAlways, 0, "0 Running, 5 Running #1, 10 CrashLoopBackOff 0 #1, 20 Running #2, 25 CrashLoopBackOff 0 #2, 45 Running #3, 50 CrashLoopBackOff 0 #3"},
	} {
		c := scenario.NewCluster()
		c.Nodes["node-1"] = sim.Node{Behave: func(*corev1.Pod) sim.Behaviour {
			return sim.Behaviour{End: &sim.End{After: 5 * time.Second, Code: tt.code}}
		}}
		tree := fstest.MapFS{"p.yaml": {Data: fmt.Appendf(nil, `{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: %s, containers: [{name: c, image: "img:1"}]}}`, tt.policy)}}
		if _, err := c.Commit(tree, reconcile.Commit{}); err != nil {
			t.Fatal(err)
		}
		begun := c.Now
		var got []string
		for range 60 {
			for range 3 {
				if _, _, err := c.Observe("node-1"); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Compute(); err != nil {
					t.Fatal(err)
				}
			}
			line := shown(c.World.Get(manifest.PodRef("default", "p")).PodStatus())
			if len(got) == 0 || !strings.HasSuffix(got[len(got)-1], " "+line) {
				got = append(got, fmt.Sprintf("%.0f %s", c.Now.Sub(begun).Seconds(), line))
			}
			c.Now = c.Now.Add(time.Second)
		}
		if text := strings.Join(got, ", "); text != tt.want {
			t.Errorf("%s, exit %d:\n got %s\nwant %s", tt.policy, tt.code, text, tt.want)
		}
	}
}

func shown(s *corev1.PodStatus) string {
	text := string(s.Phase)
	for _, c := range s.ContainerStatuses {
		ended := c.State.Terminated
		if c.State.Waiting != nil {
			text, ended = c.State.Waiting.Reason, c.LastTerminationState.Terminated
		}
		if ended != nil {
			text += fmt.Sprintf(" %d", ended.ExitCode)
		}
		if c.RestartCount > 0 {
			text += fmt.Sprintf(" #%d", c.RestartCount)
		}
	}
	return text
}
