package state

import (
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
)

// Full is the object as the API shows it: the authored or derived object with every fact in its
// place. It is the caller's own copy.
func (r *Record) Full() manifest.Object {
	o := r.Object.DeepCopyObject().(manifest.Object)
	o.GetObjectKind().SetGroupVersionKind(manifest.GVK(r.Ref))
	o.SetUID(r.UID)
	o.SetGeneration(r.Generation)
	o.SetResourceVersion(r.Revision.String())
	o.SetCreationTimestamp(metav1.NewTime(r.Created.UTC()))
	if d := r.Deletion; d != nil {
		at, grace := metav1.NewTime(d.Deadline().UTC()), d.Grace
		o.SetDeletionTimestamp(&at)
		o.SetDeletionGracePeriodSeconds(&grace)
	}
	if r.Controller != nil {
		o.SetOwnerReferences(append(o.GetOwnerReferences(), *r.Controller.reference()))
	}
	if len(r.Annotations) > 0 {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		maps.Copy(annotations, r.Annotations)
		o.SetAnnotations(annotations)
	}
	switch o := o.(type) {
	case *corev1.Pod:
		o.Spec.NodeName = cmpOr(string(r.Node), o.Spec.NodeName)
		setStatus(&o.Status, r.Status)
		r.Deletion.disrupt(o)
	case *corev1.Service:
		allocate(o, r.Allocation)
		setStatus(&o.Status, r.Status)
	case *corev1.Node:
		setStatus(&o.Status, r.Status)
		status, _ := r.Status.(*corev1.NodeStatus)
		o.Spec.Taints = NodeTaints(o, status)
	case *corev1.Namespace:
		setStatus(&o.Status, r.Status)
	case *corev1.PersistentVolumeClaim:
		if r.Allocation != nil {
			o.Spec.VolumeName = r.Allocation.Volume
		}
		setStatus(&o.Status, r.Status)
	case *corev1.PersistentVolume:
		if r.Allocation != nil && r.Allocation.Claim != nil {
			o.Spec.ClaimRef = r.Allocation.Claim.reference()
		}
		setStatus(&o.Status, r.Status)
	case *appsv1.Deployment:
		scaled(&o.Spec.Replicas, r.Allocation)
		setStatus(&o.Status, r.Status)
	case *appsv1.ReplicaSet:
		scaled(&o.Spec.Replicas, r.Allocation)
		setStatus(&o.Status, r.Status)
	case *appsv1.StatefulSet:
		scaled(&o.Spec.Replicas, r.Allocation)
		setStatus(&o.Status, r.Status)
	case *appsv1.DaemonSet:
		setStatus(&o.Status, r.Status)
	case *corev1.ReplicationController:
		scaled(&o.Spec.Replicas, r.Allocation)
		setStatus(&o.Status, r.Status)
	case *batchv1.Job:
		generateSelector(o, r.UID)
		setStatus(&o.Status, r.Status)
	case *batchv1.CronJob:
		setStatus(&o.Status, r.Status)
	case *policyv1.PodDisruptionBudget:
		setStatus(&o.Status, r.Status)
	case *autoscalingv2.HorizontalPodAutoscaler:
		setStatus(&o.Status, r.Status)
	}
	return o
}

// scaled shows the size that an autoscaler decided.
func scaled(replicas **int32, a *Allocation) {
	if a != nil && a.Replicas != nil {
		n := *a.Replicas
		*replicas = &n
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// setStatus puts a copy of a status into its object; a status of another kind is left out.
func setStatus[T any, P interface {
	*T
	Status
	DeepCopyInto(*T)
}](into P, s Status) {
	if from, ok := s.(P); ok && from != nil {
		from.DeepCopyInto((*T)(into))
	}
}

func allocate(s *corev1.Service, a *Allocation) {
	if a == nil {
		return
	}
	if len(a.ClusterIPs) > 0 {
		s.Spec.ClusterIPs = append([]string(nil), a.ClusterIPs...)
		s.Spec.ClusterIP = a.ClusterIPs[0]
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if port, ok := a.NodePorts[PortKey(p)]; ok {
			p.NodePort = port
		}
	}
}

// PortKey names a Service port in Allocation.NodePorts.
func PortKey(p *corev1.ServicePort) string {
	return string(p.Protocol) + "/" + strconv.Itoa(int(p.Port))
}

// Replicas is the size of what has replicas: what an autoscaler decided beats what is written.
func (r *Record) Replicas(written *int32) int32 {
	switch a := r.Allocation; {
	case a != nil && a.Replicas != nil:
		return *a.Replicas
	case written != nil:
		return *written
	}
	return 0
}

// PodStatus is the status of a Pod's record, never nil; the caller must not modify it.
func (r *Record) PodStatus() *corev1.PodStatus {
	if s, ok := r.Status.(*corev1.PodStatus); ok {
		return s
	}
	return &corev1.PodStatus{Phase: corev1.PodPending}
}

// PodCondition is a condition of a Pod's status, nil if it has none of that kind.
func PodCondition(s *corev1.PodStatus, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}

// PodIs says that a condition of a Pod's status is true.
func PodIs(s *corev1.PodStatus, kind corev1.PodConditionType) bool {
	c := PodCondition(s, kind)
	return c != nil && c.Status == corev1.ConditionTrue
}

// Pod is the Pod as it was authored or derived, without facts; the caller must not modify it.
func (r *Record) Pod() *corev1.Pod {
	p, _ := r.Object.(*corev1.Pod)
	return p
}
