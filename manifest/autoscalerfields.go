package manifest

import (
	"reflect"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

func autoscalerTables(whole fields) map[reflect.Type]fields {
	return join(
		rows[autoscalingv2.HorizontalPodAutoscaler](whole),
		rows[autoscalingv2.HorizontalPodAutoscalerSpec](fields{
			"behavior": works, "maxReplicas": works, "metrics": works, "minReplicas": works, "scaleTargetRef": works,
		}),
		rows[autoscalingv2.CrossVersionObjectReference](fields{"apiVersion": works, "kind": works, "name": works}),
		rows[autoscalingv2.MetricSpec](fields{
			"containerResource": works, "external": works, "object": works, "pods": works, "resource": works, "type": works,
		}),
		rows[autoscalingv2.ContainerResourceMetricSource](fields{"container": works, "name": works, "target": works}),
		rows[autoscalingv2.ResourceMetricSource](fields{"name": works, "target": works}),
		rows[autoscalingv2.PodsMetricSource](fields{"metric": works, "target": works}),
		rows[autoscalingv2.ObjectMetricSource](fields{"describedObject": works, "metric": works, "target": works}),
		rows[autoscalingv2.ExternalMetricSource](fields{"metric": works, "target": works}),
		rows[autoscalingv2.MetricIdentifier](fields{"name": works, "selector": works}),
		rows[autoscalingv2.MetricTarget](fields{"averageUtilization": works, "averageValue": works, "type": works, "value": works}),
		rows[autoscalingv2.HorizontalPodAutoscalerBehavior](fields{"scaleDown": works, "scaleUp": works}),
		rows[autoscalingv2.HPAScalingRules](fields{
			"policies": works, "selectPolicy": works, "stabilizationWindowSeconds": works, "tolerance": works,
		}),
		rows[autoscalingv2.HPAScalingPolicy](fields{"periodSeconds": works, "type": works, "value": works}),
	)
}
