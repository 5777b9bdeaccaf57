package reconcile

import (
	"maps"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"writ/state"
)

// workloadConcerns are what is computed for the kinds that make Pods, or are made of those that do. It
// is never modified.
var workloadConcerns = map[schema.GroupKind][]Concern{
	{Group: "apps", Kind: "Deployment"}:                     {autoscaling, rollout, deploymentStatus},
	{Group: "apps", Kind: "ReplicaSet"}:                     {autoscaling, replicas, replicaSetStatus},
	{Group: "", Kind: "ReplicationController"}:              {autoscaling, replicas, replicaSetStatus},
	{Group: "apps", Kind: "StatefulSet"}:                    {autoscaling, statefulSets, statefulSetStatus},
	{Group: "apps", Kind: "DaemonSet"}:                      {daemonSets, daemonSetStatus},
	{Group: "batch", Kind: "Job"}:                           {jobs},
	{Group: "batch", Kind: "CronJob"}:                       {cronJobs},
	{Group: "policy", Kind: "PodDisruptionBudget"}:          {budgets},
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}: {autoscaling},
}

// workload says that Pods, or what makes them, may be computed for objects of the kind.
func workload(gk schema.GroupKind) bool { return len(workloadConcerns[gk]) > 0 }

// annotate computes an annotation of an object, beside the others that are computed for it; an empty
// value takes it away.
func (d *draft) annotate(r *state.Record, key, value, why string) {
	now := d.w.Get(r.Ref)
	if now == nil || now.Annotations[key] == value {
		return
	}
	next := maps.Clone(now.Annotations)
	if next == nil {
		next = map[string]string{}
	}
	next[key] = value
	if value == "" {
		delete(next, key)
	}
	d.put(state.Put{Ref: r.Ref, Annotations: next, Why: why})
}
