package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A flaw is a need without a Ref: nothing is missing, but a field of the object by itself is what
// Kubernetes accepts and then cannot act upon.
func (n *needs) flaw(field, why string) { n.add(need{field: field, why: why}) }

// warn adds what Kubernetes accepts and then acts upon in a way that few expect.
func (n *needs) warn(field, why string) { n.add(need{field: field, why: why, hint: true}) }

// annotation is the path of one in an object.
func annotation(key string) string { return "metadata.annotations[" + key + "]" }

// truthFlaw adds the value of an annotation that can only be true or false.
func (n *needs) truthFlaw(field, value string) {
	if value != "true" && value != "false" {
		n.flaw(field, `"`+value+`" must be true or false`)
	}
}

// podFlaws adds what is wrong with the pods of an object by themselves.
func (n *needs) podFlaws(pods *podFacts) {
	eachContainer(pods.path, pods.spec, func(at string, c *corev1.Container) {
		n.image(at, c)
		n.subPaths(at, c)
		n.probes(at, c)
	})
	n.bandwidths(pods)
	n.sysctls(pods)
}

// image adds a name that no registry could have. A pod with it fails with InvalidImageName.
func (n *needs) image(at string, c *corev1.Container) {
	if c.Image == "" {
		return // said by the rules
	}
	if _, err := reference.ParseNormalizedNamed(c.Image); err != nil {
		n.flaw(at+".image", fmt.Sprintf("%q is not the name of an image: %s", c.Image, strings.TrimPrefix(err.Error(), "invalid reference format: ")))
	}
}

// objectMetrics adds metrics of kinds that there are not, and those that have the number of another type
// than they say.
func (n *needs) objectMetrics(a *autoscalingv2.HorizontalPodAutoscaler) {
	for i, m := range a.Spec.Metrics {
		if m.Object == nil {
			continue
		}
		about := m.Object.DescribedObject
		if _, p := find(schema.FromAPIVersionAndKind(about.APIVersion, about.Kind)); p != nil && about.APIVersion != "" {
			n.warn(index("spec.metrics", i)+".object.describedObject."+p.path, p.what)
		}
		target, field := m.Object.Target, ""
		switch {
		case target.Type == autoscalingv2.ValueMetricType && target.Value == nil:
			field = "value"
		case target.Type == autoscalingv2.AverageValueMetricType && target.AverageValue == nil:
			field = "averageValue"
		default:
			continue
		}
		n.flaw(index("spec.metrics", i)+".object.target", fmt.Sprintf("a target of type %s has its number in %s, which is missing: the metric could never be compared", target.Type, field))
	}
}

// directions adds rules of a policy for traffic that it is not about.
func (n *needs) directions(p *networkingv1.NetworkPolicy) {
	unused := func(field string, rules int, direction networkingv1.PolicyType) {
		if rules > 0 && !slices.Contains(p.Spec.PolicyTypes, direction) {
			n.warn(field, fmt.Sprintf("has no effect, as spec.policyTypes does not name %s", direction))
		}
	}
	unused("spec.ingress", len(p.Spec.Ingress), networkingv1.PolicyTypeIngress)
	unused("spec.egress", len(p.Spec.Egress), networkingv1.PolicyTypeEgress)
}
