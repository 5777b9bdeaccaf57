package reconcile

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// failureCondition is the type of the condition by which a ReplicaSet, StatefulSet or DaemonSet says that a Pod cannot
// be made. Upstream has it for a ReplicaSet alone.
const failureCondition = string(appsv1.ReplicaSetReplicaFailure)

// conditions are those of a status that say what is in the way, each as long as it has something to say. Every kind has
// a type of its own for them.
type conditions[C any] struct {
	of   func(*C) (kind, message string, since metav1.Time)
	make func(kind, reason, message string, since metav1.Time) C
}

// says is the message of a condition, empty if there is none of that type.
func (k conditions[C]) says(list []C, kind string) string {
	for i := range list {
		if t, message, _ := k.of(&list[i]); t == kind {
			return message
		}
	}
	return ""
}

// say keeps the condition of a type with a message, or none for an empty one, and tells what it said before. The list
// that comes in stays as it is.
func (k conditions[C]) say(list []C, kind, reason, message string, now metav1.Time) (next []C, before string) {
	next = slices.DeleteFunc(slices.Clone(list), func(c C) bool {
		t, said, since := k.of(&c)
		if t == kind {
			before, now = said, since
		}
		return t == kind
	})
	switch {
	case message != "" && message == before:
		return list, before
	case message != "":
		next = append(next, k.make(kind, reason, message, now))
	case len(next) == 0:
		next = nil
	}
	return next, before
}

// parts are the fields of a condition whose type is a T.
type parts[T ~string] struct {
	kind            *T
	status          *corev1.ConditionStatus
	reason, message *string
	since           *metav1.Time
}

func conditionsOf[C any, T ~string](of func(*C) parts[T]) conditions[C] {
	return conditions[C]{
		func(c *C) (string, string, metav1.Time) {
			p := of(c)
			return string(*p.kind), *p.message, *p.since
		},
		func(kind, reason, message string, since metav1.Time) (c C) {
			p := of(&c)
			*p.kind, *p.status, *p.reason, *p.message, *p.since = T(kind), corev1.ConditionTrue, reason, message, since
			return c
		},
	}
}

func statefulConditions() conditions[appsv1.StatefulSetCondition] {
	return conditionsOf(func(c *appsv1.StatefulSetCondition) parts[appsv1.StatefulSetConditionType] {
		return parts[appsv1.StatefulSetConditionType]{&c.Type, &c.Status, &c.Reason, &c.Message, &c.LastTransitionTime}
	})
}

func daemonConditions() conditions[appsv1.DaemonSetCondition] {
	return conditionsOf(func(c *appsv1.DaemonSetCondition) parts[appsv1.DaemonSetConditionType] {
		return parts[appsv1.DaemonSetConditionType]{&c.Type, &c.Status, &c.Reason, &c.Message, &c.LastTransitionTime}
	})
}

func replicaSetConditions() conditions[appsv1.ReplicaSetCondition] {
	return conditionsOf(func(c *appsv1.ReplicaSetCondition) parts[appsv1.ReplicaSetConditionType] {
		return parts[appsv1.ReplicaSetConditionType]{&c.Type, &c.Status, &c.Reason, &c.Message, &c.LastTransitionTime}
	})
}
