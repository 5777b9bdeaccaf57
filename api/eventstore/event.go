package eventstore

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/state"
)

// Told is an event with the number of its last telling.
type Told struct {
	state.Event
	Sequence uint64
}

// namespaceOf is where an event is shown: that of what it is about.
func namespaceOf(t *Told) string { return cmp.Or(t.Ref.Namespace, metav1.NamespaceDefault) }

// object is an event as the API shows it. Its name is the same however often it is told again.
func object(t *Told, version uint64, node string) *corev1.Event {
	about := manifest.GVK(t.Ref)
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s\x00%s\x00%s\x00%s\x00%d", t.Ref, t.UID, t.Field, t.Type, t.Reason, t.Message, t.Component, t.First.UnixNano())
	name := t.Ref.Name + "." + strconv.FormatUint(h.Sum64(), 16)
	return &corev1.Event{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Event"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespaceOf(t), Name: name, UID: types.UID(name), ResourceVersion: strconv.FormatUint(version, 10),
			CreationTimestamp: metav1.NewTime(t.First.UTC()),
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: about.GroupVersion().String(), Kind: t.Ref.Kind, Namespace: t.Ref.Namespace, Name: t.Ref.Name, UID: t.UID, FieldPath: t.Field,
		},
		Reason: t.Reason, Message: t.Message, Type: t.Type, Count: t.Count,
		FirstTimestamp: metav1.NewTime(t.First.UTC()), LastTimestamp: metav1.NewTime(t.Last.UTC()),
		Source:              corev1.EventSource{Component: t.Component, Host: node},
		ReportingController: t.Component, ReportingInstance: node,
	}
}
