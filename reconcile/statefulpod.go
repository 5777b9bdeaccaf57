package reconcile

import (
	"fmt"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/reconcile/admit"
	"writ/state"
)

// revisionHashLabel is upstream's label of a StatefulSet's revisions.
const revisionHashLabel = "controller.kubernetes.io/hash"

// create makes the Pod of an ordinal with the claims that it needs, unless something is in its way.
func (x *stateful) create(n int) bool {
	if x.obstacle(n) != nil {
		return false
	}
	pod, err := x.pod(n)
	if err != nil {
		return false // obstacle says so
	}
	x.createClaims(n)
	name := x.r.Ref.Name
	x.d.put(state.Put{Ref: manifest.PodRef(pod.Namespace, pod.Name), Object: pod, Origin: state.Derived, Status: pending(pod), Why: fmt.Sprintf("replica %d of %s", n, name)})
	x.d.event(x.r, corev1.EventTypeNormal, "SuccessfulCreate", statefulSetController, "Create Pod %s in StatefulSet %s successful", pod.Name, name)
	return true
}

// obstacle is why the Pod of an ordinal that is wanted cannot be made now, nil if it can.
func (x *stateful) obstacle(n int) error {
	name := x.podName(n)
	if p := x.d.w.Get(manifest.PodRef(x.r.Ref.Namespace, name)); p != nil {
		if p.Deletion != nil {
			return fmt.Errorf("pods %q already exists: the one before is still going", name)
		}
		return fmt.Errorf("pods %q already exists", name)
	}
	if err := x.claimObstacle(n); err != nil {
		return err
	}
	_, err := x.pod(n)
	return err
}

// spent says that a Pod of the repository has ended, and keeps its name until its author changes it.
func spent(p *state.Record) bool { return terminal(p) && p.Deletion == nil && standsAuthored(p) }

// pod is the Pod of an ordinal as it is after admission.
func (x *stateful) pod(n int) (*corev1.Pod, error) {
	revision := x.wants(n)
	template := x.versions.template
	if revision.Ref != x.update.Ref {
		before, err := revisionTemplate(revisionIn(revision))
		if err != nil {
			return nil, err
		}
		template = before
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: x.r.Ref.Namespace, Name: x.podName(n), GenerateName: x.r.Ref.Name + "-", Annotations: template.Annotations,
			OwnerReferences: []metav1.OwnerReference{controllerRef(x.r)},
		},
		Spec: template.Spec,
	}
	pod.Labels = identity(template.Labels, pod.Name, n)
	pod.Labels[appsv1.StatefulSetRevisionLabel] = revision.Ref.Name
	pod.Spec.Hostname, pod.Spec.Subdomain = pod.Name, x.set.Spec.ServiceName
	pod.Spec.Volumes = x.volumes(template.Spec.Volumes, n)
	return admit.Pod(x.d.w, pod)
}

// identity are labels with those that name a Pod of a set.
func identity(labels map[string]string, name string, n int) map[string]string {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[appsv1.StatefulSetPodNameLabel], labels[appsv1.PodIndexLabel] = name, strconv.Itoa(n)
	return labels
}

// volumes are those of a Pod, with its own claims in the place of what the template says of the same name.
func (x *stateful) volumes(written []corev1.Volume, n int) []corev1.Volume {
	templates := x.set.Spec.VolumeClaimTemplates
	if len(templates) == 0 {
		return written
	}
	var volumes []corev1.Volume
	own := map[string]bool{}
	for i := range templates {
		name := templates[i].Name
		own[name] = true
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: x.claimName(name, n)},
		}})
	}
	for i := range written {
		if !own[written[i].Name] {
			volumes = append(volumes, written[i])
		}
	}
	return volumes
}
