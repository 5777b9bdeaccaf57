package manifest

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Upstream has no code left for autoscaling/v2beta1 and v2beta2, so what it did is written here.
// v2beta2 became v2 without a change of form; v2beta1 kept the numbers beside the names of metrics.

// oldAutoscaler tells whether it is one of the versions that are converted here.
func oldAutoscaler(gvk schema.GroupVersionKind) bool {
	return gvk.Group == autoscalingv2.GroupName && gvk.Kind == "HorizontalPodAutoscaler" && (gvk.Version == "v2beta1" || gvk.Version == "v2beta2")
}

func (o *object) decodeOldAutoscaler(k *kind, h *head, data []byte) Object {
	made := &autoscalingv2.HorizontalPodAutoscaler{}
	if h.gvk.Version == "v2beta1" {
		var written v2beta1Autoscaler
		if !o.decodeStrict(data, &written) {
			return nil
		}
		made.ObjectMeta = written.ObjectMeta
		made.Spec.ScaleTargetRef = written.Spec.ScaleTargetRef
		made.Spec.MinReplicas = written.Spec.MinReplicas
		made.Spec.MaxReplicas = written.Spec.MaxReplicas
		for _, m := range written.Spec.Metrics {
			made.Spec.Metrics = append(made.Spec.Metrics, m.convert())
		}
	} else if !o.decodeStrict(data, made) {
		return nil
	}
	canonical, err := k.canonical(made)
	if err != nil {
		o.mistake(problem{what: err.Error()})
		return nil
	}
	return canonical
}

type v2beta1Autoscaler struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef autoscalingv2.CrossVersionObjectReference `json:"scaleTargetRef"`
		MinReplicas    *int32                                    `json:"minReplicas"`
		MaxReplicas    int32                                     `json:"maxReplicas"`
		Metrics        []v2beta1Metric                           `json:"metrics"`
	} `json:"spec"`
}

type v2beta1Metric struct {
	Type   autoscalingv2.MetricSourceType `json:"type"`
	Object *struct {
		Target       autoscalingv2.CrossVersionObjectReference `json:"target"`
		MetricName   string                                    `json:"metricName"`
		TargetValue  resource.Quantity                         `json:"targetValue"`
		Selector     *metav1.LabelSelector                     `json:"selector"`
		AverageValue *resource.Quantity                        `json:"averageValue"`
	} `json:"object"`
	Pods *struct {
		MetricName         string                `json:"metricName"`
		TargetAverageValue resource.Quantity     `json:"targetAverageValue"`
		Selector           *metav1.LabelSelector `json:"selector"`
	} `json:"pods"`
	Resource *struct {
		Name                     corev1.ResourceName `json:"name"`
		TargetAverageUtilization *int32              `json:"targetAverageUtilization"`
		TargetAverageValue       *resource.Quantity  `json:"targetAverageValue"`
	} `json:"resource"`
	ContainerResource *struct {
		Name                     corev1.ResourceName `json:"name"`
		TargetAverageUtilization *int32              `json:"targetAverageUtilization"`
		TargetAverageValue       *resource.Quantity  `json:"targetAverageValue"`
		Container                string              `json:"container"`
	} `json:"containerResource"`
	External *struct {
		MetricName         string                `json:"metricName"`
		MetricSelector     *metav1.LabelSelector `json:"metricSelector"`
		TargetValue        *resource.Quantity    `json:"targetValue"`
		TargetAverageValue *resource.Quantity    `json:"targetAverageValue"`
	} `json:"external"`
}

func (m *v2beta1Metric) convert() autoscalingv2.MetricSpec {
	made := autoscalingv2.MetricSpec{Type: m.Type}
	if s := m.Object; s != nil {
		made.Object = &autoscalingv2.ObjectMetricSource{
			DescribedObject: s.Target,
			Metric:          autoscalingv2.MetricIdentifier{Name: s.MetricName, Selector: s.Selector},
			Target:          autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: &s.TargetValue},
		}
		if s.AverageValue != nil {
			made.Object.Target = autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: s.AverageValue}
		}
	}
	if s := m.Pods; s != nil {
		made.Pods = &autoscalingv2.PodsMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: s.MetricName, Selector: s.Selector},
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &s.TargetAverageValue},
		}
	}
	if s := m.Resource; s != nil {
		made.Resource = &autoscalingv2.ResourceMetricSource{Name: s.Name, Target: averageTarget(s.TargetAverageUtilization, s.TargetAverageValue)}
	}
	if s := m.ContainerResource; s != nil {
		made.ContainerResource = &autoscalingv2.ContainerResourceMetricSource{Name: s.Name, Container: s.Container, Target: averageTarget(s.TargetAverageUtilization, s.TargetAverageValue)}
	}
	if s := m.External; s != nil {
		target := autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: s.TargetValue}
		if s.TargetAverageValue != nil {
			target = autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: s.TargetAverageValue}
		}
		made.External = &autoscalingv2.ExternalMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: s.MetricName, Selector: s.MetricSelector}, Target: target,
		}
	}
	return made
}

func averageTarget(utilization *int32, value *resource.Quantity) autoscalingv2.MetricTarget {
	if value != nil {
		return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: value}
	}
	return autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: utilization}
}
