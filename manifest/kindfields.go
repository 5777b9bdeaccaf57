package manifest

import (
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// clusterSets is the reason for fields that a manifest cannot set.
const clusterSets = "set by the cluster"

func kindTables() map[reflect.Type]fields {
	whole := fields{"metadata": works, "spec": works, "status": noEffect(clusterSets)}
	return join(
		autoscalerTables(whole),
		rows[metav1.TypeMeta](fields{"apiVersion": works, "kind": works}),
		rows[metav1.ObjectMeta](fields{
			"annotations":                works,
			"creationTimestamp":          noEffect(clusterSets),
			"deletionGracePeriodSeconds": noEffect(clusterSets),
			"deletionTimestamp":          noEffect(clusterSets),
			"finalizers":                 noEffect(clusterSets),
			"generateName":               noEffect(clusterSets),
			"generation":                 noEffect(clusterSets),
			"labels":                     works,
			"managedFields":              noEffect(clusterSets),
			"name":                       works,
			"namespace":                  works,
			"ownerReferences":            noEffect(clusterSets),
			"resourceVersion":            noEffect(clusterSets),
			"selfLink":                   noEffect(clusterSets),
			"uid":                        noEffect(clusterSets),
		}),
		rows[metav1.LabelSelector](fields{"matchExpressions": works, "matchLabels": works}),
		rows[metav1.LabelSelectorRequirement](fields{"key": works, "operator": works, "values": works}),
		rows[corev1.Namespace](whole),
		rows[corev1.NamespaceSpec](fields{"finalizers": noEffect(clusterSets)}),
		rows[corev1.Pod](whole),
		rows[corev1.Node](whole),
		rows[corev1.NodeSpec](fields{
			"configSource":  noEffect("removed from Kubernetes"),
			"externalID":    noEffect("removed from Kubernetes"),
			"podCIDR":       noEffect("the pods' range comes from writ.yaml"),
			"podCIDRs":      noEffect("the pods' range comes from writ.yaml"),
			"providerID":    noEffect("there is no cloud provider"),
			"taints":        works,
			"unschedulable": works,
		}),
		rows[corev1.Taint](fields{"effect": works, "key": works, "timeAdded": noEffect(clusterSets), "value": works}),
		rows[corev1.ConfigMap](fields{"binaryData": works, "data": works, "immutable": works, "metadata": works}),
		rows[corev1.Secret](fields{"data": works, "immutable": works, "metadata": works, "stringData": works, "type": works}),
		rows[corev1.ServiceAccount](fields{
			"automountServiceAccountToken": works,
			"imagePullSecrets":             works,
			"metadata":                     works,
			"secrets":                      noEffect("tokens are not kept in Secrets"),
		}),
		rows[nodev1.RuntimeClass](fields{"handler": works, "metadata": works, "overhead": works, "scheduling": works}),
		rows[nodev1.Overhead](fields{"podFixed": works}),
		rows[nodev1.Scheduling](fields{"nodeSelector": works, "tolerations": works}),
		rows[appsv1.Deployment](whole),
		rows[appsv1.DeploymentSpec](fields{
			"minReadySeconds":         works,
			"paused":                  works,
			"progressDeadlineSeconds": works,
			"replicas":                works,
			"revisionHistoryLimit":    works,
			"selector":                works,
			"strategy":                works,
			"template":                works,
		}),
		rows[appsv1.DeploymentStrategy](fields{"rollingUpdate": works, "type": works}),
		rows[appsv1.RollingUpdateDeployment](fields{"maxSurge": works, "maxUnavailable": works}),
		replicationControllerTables(whole),
		jobTables(whole),
		cronJobTables(whole),
		statefulSetTables(whole),
		daemonSetTables(whole),
		budgetTables(whole),
		rows[appsv1.ReplicaSet](whole),
		rows[appsv1.ReplicaSetSpec](fields{"minReadySeconds": works, "replicas": works, "selector": works, "template": works}),
	)
}
