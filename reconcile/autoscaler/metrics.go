package autoscaler

import (
	"errors"
	"fmt"
	"math"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"writ/manifest"
	"writ/state"
)

// MetricKey names what a metric of an autoscaler asks to be measured, whatever its target: what was measured for
// another spec is not taken for it.
func MetricKey(m *autoscalingv2.MetricSpec) string {
	parts := []string{string(m.Type)}
	switch {
	case m.Resource != nil:
		parts = append(parts, string(m.Resource.Name))
	case m.ContainerResource != nil:
		parts = append(parts, m.ContainerResource.Container, string(m.ContainerResource.Name))
	case m.Pods != nil:
		parts = append(parts, m.Pods.Metric.Name, selectorText(m.Pods.Metric.Selector))
	case m.Object != nil:
		o := m.Object.DescribedObject
		group := schema.FromAPIVersionAndKind(o.APIVersion, o.Kind).Group
		parts = append(parts, group, o.Kind, o.Name, m.Object.Metric.Name, selectorText(m.Object.Metric.Selector))
	case m.External != nil:
		parts = append(parts, m.External.Metric.Name, selectorText(m.External.Metric.Selector))
	}
	return strings.Join(parts, " ")
}

func selectorText(s *metav1.LabelSelector) string {
	if s == nil {
		return ""
	}
	return metav1.FormatLabelSelector(s)
}

// proposal is the largest size that a metric asks for and which it was. It is not ok where no size can be told: every
// metric is missing, or one is and the others would let the target shrink.
func (x *scaler) proposal(round *state.Metrics, selector labels.Selector) (wanted int32, by string, current []autoscalingv2.MetricStatus, ok bool) {
	if trouble := x.ambiguous(selector); trouble != "" {
		x.event(corev1.EventTypeWarning, "AmbiguousSelector", "%s", trouble)
		x.set(autoscalingv2.ScalingActive, corev1.ConditionFalse, "AmbiguousSelector", trouble)
		x.event(corev1.EventTypeWarning, "FailedComputeMetricsReplicas", "%s", trouble)
		return 0, "", nil, false
	}
	specs := x.hpa.Spec.Metrics
	current = make([]autoscalingv2.MetricStatus, len(specs))
	var first error
	var firstReason, firstMessage string
	invalid := 0
	for i := range specs {
		p := x.propose(&specs[i], &round.Results[i])
		if p.err != nil {
			x.event(corev1.EventTypeWarning, p.reason, "%s", p.err)
			if invalid++; first == nil {
				first = fmt.Errorf("%s: %w", p.failed, p.err)
				firstReason, firstMessage = p.reason, fmt.Sprintf("the HPA was unable to compute the replica count: %s", p.err)
			}
			continue
		}
		current[i] = p.status
		if wanted == 0 || p.replicas > wanted {
			wanted, by = p.replicas, p.name
		}
	}
	if invalid >= len(specs) || invalid > 0 && wanted < x.current {
		x.set(autoscalingv2.ScalingActive, corev1.ConditionFalse, firstReason, firstMessage)
		x.event(corev1.EventTypeWarning, "FailedComputeMetricsReplicas", "invalid metrics (%d invalid out of %d), first error is: %s", invalid, len(specs), first)
		return 0, "", current, false
	}
	x.set(autoscalingv2.ScalingActive, corev1.ConditionTrue, "ValidMetricFound", "the HPA was able to successfully calculate a replica count from "+by)
	return wanted, by, current, true
}

// proposed is what one metric asks for, or why it cannot be told.
type proposed struct {
	replicas int32
	name     string // of the metric, in upstream's words
	status   autoscalingv2.MetricStatus
	err      error
	reason   string // of the event and the condition
	failed   string // what stands before the error in the sum of all
}

func (x *scaler) propose(m *autoscalingv2.MetricSpec, got *state.Measured) (p proposed) {
	p.status.Type = m.Type
	switch {
	case m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil:
		p.reason, p.failed = "FailedGetResourceMetric", fmt.Sprintf("failed to get %s resource metric value", m.Resource.Name)
		s := &autoscalingv2.ResourceMetricStatus{Name: m.Resource.Name}
		p.replicas, p.name, p.err = x.resource(m.Resource.Name, "", &m.Resource.Target, got, &s.Current)
		p.status.Resource = s
	case m.Type == autoscalingv2.ContainerResourceMetricSourceType && m.ContainerResource != nil:
		c := m.ContainerResource
		p.reason, p.failed = "FailedGetContainerResourceMetric", fmt.Sprintf("failed to get %s container metric value", c.Container)
		s := &autoscalingv2.ContainerResourceMetricStatus{Name: c.Name, Container: c.Container}
		p.replicas, p.name, p.err = x.resource(c.Name, c.Container, &c.Target, got, &s.Current)
		p.status.ContainerResource = s
	case m.Type == autoscalingv2.PodsMetricSourceType && m.Pods != nil:
		p.reason, p.failed = "FailedGetPodsMetric", "failed to get pods metric value"
		s := &autoscalingv2.PodsMetricStatus{Metric: m.Pods.Metric}
		p.replicas, p.name, p.err = x.podsMetric(m.Pods, got, &s.Current)
		p.status.Pods = s
	case m.Type == autoscalingv2.ObjectMetricSourceType && m.Object != nil:
		p.reason, p.failed = "FailedGetObjectMetric", "failed to get object metric value"
		if m.Object.Target.Type == autoscalingv2.AverageValueMetricType {
			p.failed += fmt.Sprintf(": failed to get %s object metric", m.Object.Metric.Name)
		}
		s := &autoscalingv2.ObjectMetricStatus{DescribedObject: m.Object.DescribedObject, Metric: m.Object.Metric}
		p.replicas, p.name, p.err = x.objectMetric(m.Object, got, &s.Current)
		p.status.Object = s
	case m.Type == autoscalingv2.ExternalMetricSourceType && m.External != nil:
		name := m.External.Metric.Name
		p.reason, p.failed = "FailedGetExternalMetric", fmt.Sprintf("failed to get %s external metric value: failed to get %s external metric", name, name)
		if m.External.Target.AverageValue == nil {
			p.failed = fmt.Sprintf("failed to get %s external metric value: failed to get external metric %s", name, name)
		}
		s := &autoscalingv2.ExternalMetricStatus{Metric: m.External.Metric}
		p.replicas, p.name, p.err = x.externalMetric(m.External, got, &s.Current)
		p.status.External = s
	default:
		p.reason, p.failed = "InvalidMetricSourceType", "failed to get a metric value"
		p.err = fmt.Errorf("unknown metric source type %q", string(m.Type))
	}
	return p
}

func (x *scaler) resource(name corev1.ResourceName, container string, t *autoscalingv2.MetricTarget, got *state.Measured, s *autoscalingv2.MetricValueStatus) (int32, string, error) {
	samples, err := perPod(got, "resource metrics API")
	if err != nil {
		err = fmt.Errorf("unable to get metrics for resource %s: %w", name, err)
	}
	c := x.calculator(samples, name, container)
	quantity := func(n int64) *resource.Quantity {
		if name == corev1.ResourceMemory {
			return resource.NewMilliQuantity(n, resource.BinarySI)
		}
		return resource.NewMilliQuantity(n, resource.DecimalSI)
	}
	switch {
	case t.AverageValue != nil:
		var n int32
		var usage int64
		if err == nil {
			n, usage, err = c.average(t.AverageValue.MilliValue())
		}
		if err != nil {
			return 0, "", fmt.Errorf("failed to get %s usage: %w", name, err)
		}
		s.AverageValue = quantity(usage)
		return n, string(name) + " resource", nil
	case t.AverageUtilization != nil:
		var n, percent int32
		var usage int64
		if err == nil {
			n, percent, usage, err = c.utilization(*t.AverageUtilization)
		}
		if err != nil {
			return 0, "", fmt.Errorf("failed to get %s utilization: %w", name, err)
		}
		s.AverageUtilization, s.AverageValue = &percent, quantity(usage)
		if container != "" {
			return n, fmt.Sprintf("%s container resource utilization (percentage of request)", name), nil
		}
		return n, fmt.Sprintf("%s resource utilization (percentage of request)", name), nil
	}
	return 0, "", errors.New("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set")
}

func (x *scaler) podsMetric(m *autoscalingv2.PodsMetricSource, got *state.Measured, s *autoscalingv2.MetricValueStatus) (int32, string, error) {
	if m.Target.AverageValue == nil {
		return 0, "", errors.New("invalid pods metric source: no average value target was set")
	}
	samples, err := perPod(got, "custom metrics API")
	if err != nil {
		return 0, "", fmt.Errorf("unable to get metric %s: %w", m.Metric.Name, err)
	}
	n, usage, err := x.calculator(samples, "", "").average(m.Target.AverageValue.MilliValue())
	if err != nil {
		return 0, "", err
	}
	s.AverageValue = resource.NewMilliQuantity(usage, resource.DecimalSI)
	return n, "pods metric " + m.Metric.Name, nil
}

func (x *scaler) objectMetric(m *autoscalingv2.ObjectMetricSource, got *state.Measured, s *autoscalingv2.MetricValueStatus) (int32, string, error) {
	o := m.DescribedObject
	usage, err := total(got, "custom metrics API")
	if err != nil {
		return 0, "", fmt.Errorf("unable to get metric %s: %w on %s %s/%s", m.Metric.Name, err, o.Kind, x.Autoscaler.Ref.Namespace, o.Name)
	}
	switch {
	case m.Target.Type == autoscalingv2.ValueMetricType && m.Target.Value != nil:
		n, err := x.byRatio(usage, m.Target.Value.MilliValue())
		if err != nil {
			return 0, "", err
		}
		s.Value = resource.NewMilliQuantity(usage, resource.DecimalSI)
		return n, fmt.Sprintf("%s metric %s", o.Kind, m.Metric.Name), nil
	case m.Target.Type == autoscalingv2.AverageValueMetricType && m.Target.AverageValue != nil:
		n, each := x.perReplica(usage, m.Target.AverageValue.MilliValue())
		s.AverageValue = resource.NewMilliQuantity(each, resource.DecimalSI)
		return n, fmt.Sprintf("external metric %s(%+v)", m.Metric.Name, m.Metric.Selector), nil
	}
	return 0, "", errors.New("invalid object metric source: neither a value target nor an average value target was set")
}

func (x *scaler) externalMetric(m *autoscalingv2.ExternalMetricSource, got *state.Measured, s *autoscalingv2.MetricValueStatus) (int32, string, error) {
	usage, err := total(got, "external metrics API")
	if err != nil {
		return 0, "", fmt.Errorf("unable to get external metric %s/%s/%+v: %w", x.Autoscaler.Ref.Namespace, m.Metric.Name, m.Metric.Selector, err)
	}
	switch {
	case m.Target.AverageValue != nil:
		n, each := x.perReplica(usage, m.Target.AverageValue.MilliValue())
		s.AverageValue = resource.NewMilliQuantity(each, resource.DecimalSI)
		return n, fmt.Sprintf("external metric %s(%+v)", m.Metric.Name, m.Metric.Selector), nil
	case m.Target.Value != nil:
		n, err := x.byRatio(usage, m.Target.Value.MilliValue())
		if err != nil {
			return 0, "", err
		}
		s.Value = resource.NewMilliQuantity(usage, resource.DecimalSI)
		return n, fmt.Sprintf("external metric %s(%+v)", m.Metric.Name, m.Metric.Selector), nil
	}
	return 0, "", errors.New("invalid external metric source: neither a value target nor an average value target was set")
}

// perPod are the samples of a metric by the Pod that they are of.
func perPod(got *state.Measured, source string) (map[string]state.Sample, error) {
	if err := unmeasured(got, source); err != nil {
		return nil, err
	}
	samples := make(map[string]state.Sample, len(got.Samples))
	for _, s := range got.Samples {
		samples[s.Pod] = s
	}
	return samples, nil
}

// total is the sum of all series of a metric.
func total(got *state.Measured, source string) (sum int64, err error) {
	if err := unmeasured(got, source); err != nil {
		return 0, err
	}
	for _, s := range got.Samples {
		if s.Value > 0 && sum > math.MaxInt64-s.Value {
			return math.MaxInt64, nil
		}
		sum += s.Value
	}
	return sum, nil
}

// unmeasured is why there is nothing to compute with.
func unmeasured(got *state.Measured, source string) error {
	switch {
	case got.Trouble != "":
		return fmt.Errorf("unable to fetch metrics from %s: %s", source, got.Trouble)
	case len(got.Samples) == 0:
		return fmt.Errorf("no metrics returned from %s", source)
	}
	return nil
}

// resourceOf is a kind's name in upstream's messages.
func resourceOf(ref manifest.Ref) string {
	name := strings.ToLower(ref.Kind) + "s"
	if ref.Group != "" {
		name += "." + ref.Group
	}
	return name
}
