package manifest

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// needsOf lists the objects that a valid object names.
func needsOf(p *parsed) []need {
	n := needs{namespace: p.Ref.Namespace}
	if p.pods != nil {
		n.podFlaws(p.pods)
		if p.Ref.Kind != "PodTemplate" {
			n.pod(p.pods.path, p.pods.spec)
		}
	}
	switch o := p.Object.(type) {
	case *appsv1.StatefulSet:
		if o.Spec.ServiceName != "" {
			n.add(need{ref: ServiceRef(n.namespace, o.Spec.ServiceName), field: "spec.serviceName", hint: true, why: "its pods get no names of their own"})
		}
		for i := range o.Spec.VolumeClaimTemplates {
			n.claim(index("spec.volumeClaimTemplates", i)+".", &o.Spec.VolumeClaimTemplates[i])
		}
	case *corev1.PersistentVolumeClaim:
		n.claim("", o)
	case *networkingv1.Ingress:
		n.ingress(o)
	case *autoscalingv2.HorizontalPodAutoscaler:
		n.add(need{ref: ScaleTarget(o), field: "spec.scaleTargetRef", why: "there is nothing to scale"})
		n.objectMetrics(o)
	case *batchv1.CronJob:
		n.cronFlaws(o)
	case *networkingv1.NetworkPolicy:
		n.directions(o)
	case *rbacv1.RoleBinding:
		n.role(o.RoleRef)
	case *rbacv1.ClusterRoleBinding:
		n.role(o.RoleRef)
	}
	if len(p.Object.GetAnnotations()) > 0 || p.pods != nil {
		n.immutableFlaws(p)
		n.podListFlaws(p)
		n.rolloutFlaws(p)
		n.drainFlaws(p)
	}
	return slices.Clip(n.list)
}

// needs gathers what one object names.
type needs struct {
	namespace string
	list      []need
}

func (n *needs) add(one need) { n.list = append(n.list, one) }

// claim adds the class of a claim's volume, which may be named by an annotation, the older way.
func (n *needs) claim(at string, c *corev1.PersistentVolumeClaim) {
	name, old := c.Annotations[corev1.BetaStorageClassAnnotation]
	field := annotation(corev1.BetaStorageClassAnnotation)
	if !old && c.Spec.StorageClassName != nil {
		name, field = *c.Spec.StorageClassName, "spec.storageClassName"
	}
	if name != "" {
		n.add(need{ref: StorageClassRef(name), field: at + field, hint: true, why: "the claim stays unbound until something makes a volume of the class"})
	}
}

func (n *needs) role(r rbacv1.RoleRef) {
	ref := Ref{Group: rbacv1.GroupName, Kind: r.Kind, Name: r.Name}
	if r.Kind == "Role" {
		ref.Namespace = n.namespace
	}
	n.add(need{ref: ref, field: "roleRef.name", hint: true, why: "nothing is granted"})
}

func (n *needs) ingress(o *networkingv1.Ingress) {
	backends(o, func(field string, b *networkingv1.IngressServiceBackend) {
		n.add(need{ref: ServiceRef(n.namespace, b.Name), field: field + ".name", why: "there is nothing to forward to"})
	})
	for i, t := range o.Spec.TLS {
		if t.SecretName != "" {
			n.add(need{ref: SecretRef(n.namespace, t.SecretName), field: index("spec.tls", i) + ".secretName", hint: true, why: "there is no certificate to show"})
		}
	}
}

// backends calls f with every Service that an Ingress forwards to.
func backends(o *networkingv1.Ingress, f func(field string, b *networkingv1.IngressServiceBackend)) {
	if b := o.Spec.DefaultBackend; b != nil && b.Service != nil {
		f("spec.defaultBackend.service", b.Service)
	}
	for i, rule := range o.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for j := range rule.HTTP.Paths {
			if b := rule.HTTP.Paths[j].Backend.Service; b != nil {
				f(index(index("spec.rules", i)+".http.paths", j)+".backend.service", b)
			}
		}
	}
}

// ScaleTarget is what an autoscaler scales, by the group that its kind lives in now.
func ScaleTarget(a *autoscalingv2.HorizontalPodAutoscaler) Ref {
	t := a.Spec.ScaleTargetRef
	group := schema.FromAPIVersionAndKind(t.APIVersion, t.Kind).Group
	if group == "extensions" && movedTo[t.Kind] != "" {
		group = movedTo[t.Kind]
	}
	return Ref{Group: group, Kind: t.Kind, Namespace: a.Namespace, Name: t.Name}
}

func claimTemplates(obj Object) []string {
	var names []string
	for _, c := range obj.(*appsv1.StatefulSet).Spec.VolumeClaimTemplates {
		names = append(names, c.Name)
	}
	return names
}
