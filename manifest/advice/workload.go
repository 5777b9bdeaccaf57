package advice

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"writ/manifest"
)

// podRules look at the pods as a whole.
var podRules = []Rule{
	{"host-access", "it sees or reaches what belongs to the node and to other pods", hostAccess},
	{"token-mount", "few programs speak to the API, and the token opens it to whatever breaks in; set automountServiceAccountToken: false", tokenMount},
}

// workloadRules look at what makes pods.
var workloadRules = []Rule{
	{"single-replica", "every restart, rollout or drain is an outage", singleReplica},
	{"bare-pod", "nothing makes it again or rolls it to a new version; use a Deployment, a Job or the like", barePod},
	{"no-min-ready-seconds", "a version that dies after its first seconds replaces all of the old one; set minReadySeconds", noMinReady},
	{"job-restart-never", "every failure leaves a pod behind; use restartPolicy: OnFailure", jobNever},
}

// note keeps what rules about other objects ask for.
func (c *commit) note(item manifest.Item) {
	switch o := item.Object.(type) {
	case *corev1.Service:
		if len(o.Spec.Selector) > 0 {
			c.services[o.Namespace] = append(c.services[o.Namespace], labels.SelectorFromSet(o.Spec.Selector))
		}
	case *autoscalingv2.HorizontalPodAutoscaler:
		if m := o.Spec.MinReplicas; m != nil && *m > 1 {
			c.scaled[manifest.ScaleTarget(o)] = true
		}
	}
}

func hostAccess(o *object) {
	if o.pods == nil {
		return
	}
	for _, use := range []struct {
		field string
		on    bool
	}{{"hostNetwork", o.pods.HostNetwork}, {"hostPID", o.pods.HostPID}, {"hostIPC", o.pods.HostIPC}} {
		if use.on {
			o.say(o.at+"."+use.field, "the pod uses %s", use.field)
		}
	}
	for i, v := range o.pods.Volumes {
		if v.HostPath != nil {
			o.say(index(o.at+".volumes", i), "volume %s is a hostPath", v.Name)
		}
	}
	if o.pods.HostNetwork {
		return // its ports are the node's anyway
	}
	o.everyContainer(func(c *corev1.Container, at string) {
		for i, p := range c.Ports {
			if p.HostPort != 0 {
				o.say(index(at+".ports", i), "container %s takes port %d of the node", c.Name, p.HostPort)
			}
		}
	})
}

func tokenMount(o *object) {
	if o.pods == nil {
		return
	}
	mount := o.pods.AutomountServiceAccountToken
	if mount == nil {
		name := o.pods.ServiceAccountName
		if name == "" {
			name = "default"
		}
		if item, declared := o.set.Get(manifest.ServiceAccountRef(o.Ref.Namespace, name)); declared {
			mount = item.Object.(*corev1.ServiceAccount).AutomountServiceAccountToken
		}
	}
	if mount == nil || *mount {
		o.say(o.at, "the pod gets a token of the API")
	}
}

func singleReplica(o *object) {
	d, ok := o.Object.(*appsv1.Deployment)
	if ok && o.served() && (d.Spec.Replicas == nil || *d.Spec.Replicas == 1) && !o.scaled[o.Ref] {
		o.say("spec.replicas", "one replica stands behind a Service")
	}
}

func barePod(o *object) {
	if o.Ref.Kind == "Pod" && o.Ref.Group == "" && o.lasting() {
		o.say("", "a pod of its own")
	}
}

func noMinReady(o *object) {
	if d, ok := o.Object.(*appsv1.Deployment); ok && d.Spec.MinReadySeconds == 0 && d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		o.say("spec", "a pod counts as available at the moment when it is ready")
	}
}

func jobNever(o *object) {
	if o.Ref.Group == "batch" && o.pods != nil && o.pods.RestartPolicy == corev1.RestartPolicyNever {
		o.say(o.at+".restartPolicy", "restartPolicy: Never")
	}
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
