package manifest

import (
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/install"
	"k8s.io/kube-aggregator/pkg/registry/apiservice"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install" // the installers register their kinds in legacyscheme
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/certificates/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	_ "k8s.io/kubernetes/pkg/apis/events/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	"k8s.io/kubernetes/pkg/capabilities"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/apps/controllerrevision"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/certificates/certificates"
	"k8s.io/kubernetes/pkg/registry/coordination/lease"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/event"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/node"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/podtemplate"
	"k8s.io/kubernetes/pkg/registry/core/replicationcontroller"
	"k8s.io/kubernetes/pkg/registry/core/resourcequota"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/ingressclass"
	"k8s.io/kubernetes/pkg/registry/networking/ipaddress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/networking/servicecidr"
	"k8s.io/kubernetes/pkg/registry/node/runtimeclass"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
	"k8s.io/kubernetes/pkg/registry/storage/csidriver"
	"k8s.io/kubernetes/pkg/registry/storage/csinode"
	"k8s.io/kubernetes/pkg/registry/storage/csistoragecapacity"
	"k8s.io/kubernetes/pkg/registry/storage/storageclass"
	"k8s.io/kubernetes/pkg/registry/storage/volumeattachment"
	"k8s.io/kubernetes/pkg/registry/storage/volumeattributesclass"
)

// kinds is the table of every kind that is read, by group and kind. It is never modified.
var kinds = tableOfKinds()

// extensions holds the kinds that upstream keeps outside legacyscheme. It is never modified.
var extensions = extensionScheme()

func extensionScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	apiextensions.Install(s)
	apiregistration.Install(s)
	return s
}

func tableOfKinds() map[schema.GroupKind]*kind {
	capabilities.Setup(true, 0) // upstream's rules refuse privileged containers until they are told otherwise
	table := map[schema.GroupKind]*kind{}
	in := func(groupName, version string) group {
		return group{schema.GroupVersion{Group: groupName, Version: version}, legacyscheme.Scheme, table}
	}
	addCore(in("", "v1"))
	addWorkloads(in("apps", "v1"), in("batch", "v1"), in("autoscaling", "v2"), in("policy", "v1"), in("scheduling.k8s.io", "v1"))
	addNetworking(in("networking.k8s.io", "v1"), in("discovery.k8s.io", "v1"))
	addStorage(in("storage.k8s.io", "v1"))
	addAccess(in("rbac.authorization.k8s.io", "v1"), in("certificates.k8s.io", "v1"), in("admissionregistration.k8s.io", "v1"))
	in("node.k8s.io", "v1").add("RuntimeClass", runtimeclass.Strategy, acted)
	in("coordination.k8s.io", "v1").add("Lease", lease.Strategy)
	in("events.k8s.io", "v1").add("Event", event.Strategy)
	group{schema.GroupVersion{Group: "apiextensions.k8s.io", Version: "v1"}, extensions, table}.
		add("CustomResourceDefinition", customresourcedefinition.NewStrategy(extensions))
	group{schema.GroupVersion{Group: "apiregistration.k8s.io", Version: "v1"}, extensions, table}.
		add("APIService", apiservice.NewStrategy(extensions).(strategy))
	return table
}

func addCore(g group) {
	g.add("ConfigMap", configmap.Strategy, acted)
	g.addRules("Endpoints", endpointsRules{}, acted)
	g.add("Event", event.Strategy)
	g.add("LimitRange", limitrange.Strategy, restricts)
	g.add("Namespace", namespace.Strategy, acted)
	g.add("Node", node.Strategy, acted)
	g.add("PersistentVolume", persistentvolume.Strategy, acted)
	g.addRules("PersistentVolumeClaim", claimRules{strategyRules{persistentvolumeclaim.Strategy, g.gv.WithKind("PersistentVolumeClaim"), "persistentvolumeclaims"}}, acted)
	g.addRules("Pod", podRules{strategyRules{pod.Strategy, g.gv.WithKind("Pod"), "pods"}}, acted)
	g.add("PodTemplate", podtemplate.Strategy, template(podTemplateTemplate))
	g.add("ReplicationController", replicationcontroller.Strategy, acted, template(replicationControllerTemplate), selector(replicationControllerSelector))
	g.add("ResourceQuota", resourcequota.Strategy, restricts)
	g.add("Secret", secret.Strategy, acted)
	g.add("Service", service.Strategy, acted, selector(serviceSelector), completed(completeService))
	g.addRules("ServiceAccount", serviceAccountRules{}, acted)
}

func addWorkloads(apps, batch, autoscaling, policy, scheduling group) {
	apps.add("ControllerRevision", controllerrevision.Strategy, acted)
	apps.add("DaemonSet", daemonset.Strategy, acted, template(daemonSetTemplate), selector(daemonSetSelector))
	apps.add("Deployment", deployment.Strategy, acted, template(deploymentTemplate), selector(deploymentSelector))
	apps.add("ReplicaSet", replicaset.Strategy, acted, template(replicaSetTemplate), selector(replicaSetSelector))
	apps.addRules("StatefulSet", statefulSetRules{strategyRules{statefulset.Strategy, apps.gv.WithKind("StatefulSet"), "statefulsets"}}, acted, template(statefulSetTemplate), selector(statefulSetSelector))
	batch.add("CronJob", cronjob.Strategy, acted, template(cronJobTemplate))
	batch.add("Job", job.Strategy, acted, template(jobTemplate), selector(jobSelector))
	autoscaling.add("HorizontalPodAutoscaler", horizontalpodautoscaler.Strategy, acted, alsoIn("v1"))
	policy.add("PodDisruptionBudget", poddisruptionbudget.Strategy, acted, selector(podDisruptionBudgetSelector))
	scheduling.add("PriorityClass", priorityclass.Strategy)
}

func addNetworking(networking, discovery group) {
	networking.add("Ingress", ingress.Strategy)
	networking.add("IngressClass", ingressclass.Strategy)
	networking.add("IPAddress", ipaddress.Strategy)
	networking.add("NetworkPolicy", networkpolicy.Strategy, restricts, selector(networkPolicySelector))
	networking.add("ServiceCIDR", servicecidr.Strategy)
	discovery.addRules("EndpointSlice", endpointSliceRules{}, acted)
}

func addStorage(g group) {
	g.add("CSIDriver", csidriver.Strategy)
	g.add("CSINode", csinode.Strategy)
	g.add("CSIStorageCapacity", csistoragecapacity.Strategy)
	g.add("StorageClass", storageclass.Strategy, acted)
	g.add("VolumeAttachment", volumeattachment.Strategy)
	g.add("VolumeAttributesClass", volumeattributesclass.Strategy)
}

func addAccess(rbac, certs, admission group) {
	rbac.add("ClusterRole", clusterrole.Strategy)
	rbac.add("ClusterRoleBinding", clusterrolebinding.Strategy)
	rbac.add("Role", role.Strategy)
	rbac.add("RoleBinding", rolebinding.Strategy)
	certs.add("CertificateSigningRequest", certificates.Strategy)
	admission.add("MutatingAdmissionPolicy", mutatingadmissionpolicy.NewStrategy(nil, nil))
	admission.add("MutatingAdmissionPolicyBinding", mutatingadmissionpolicybinding.NewStrategy(nil, nil, nil))
	admission.add("MutatingWebhookConfiguration", mutatingwebhookconfiguration.Strategy)
	admission.add("ValidatingAdmissionPolicy", validatingadmissionpolicy.NewStrategy(nil, nil))
	admission.add("ValidatingAdmissionPolicyBinding", validatingadmissionpolicybinding.NewStrategy(nil, nil, nil))
	admission.add("ValidatingWebhookConfiguration", validatingwebhookconfiguration.Strategy)
}
