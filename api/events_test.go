package api

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"writ/manifest"
	"writ/state"
	"writ/state/event"
)

func TestEvents(t *testing.T) {
	r := newRig(t)
	tell := func(ref manifest.Ref, reason string) {
		r.events.Record(state.Event{Ref: ref, UID: "u", Type: "Normal", Reason: reason, Message: "said of " + ref.Name, Component: "kubelet", Field: "spec.containers{main}"})
	}
	for i := range 5 {
		tell(manifest.PodRef("web", fmt.Sprintf("p%d", i)), "Started")
	}
	tell(manifest.NodeRef("n1"), "NodeReady")
	tell(manifest.PodRef("web", "p0"), "Started")
	events := r.admin().CoreV1().Events("web")
	list, err := events.List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=p0,reason=Started"})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("of one pod: %v, %v", list, err)
	}
	e := list.Items[0]
	if e.Count != 2 || e.InvolvedObject.APIVersion != "v1" || e.InvolvedObject.Kind != "Pod" || e.InvolvedObject.FieldPath != "spec.containers{main}" || e.Source.Component != "kubelet" || e.LastTimestamp.IsZero() {
		t.Errorf("an event that was told twice: %v", e)
	}
	if again, err := events.Get(t.Context(), e.Name, metav1.GetOptions{}); err != nil || again.UID != e.UID {
		t.Errorf("by its name: %v, %v", again, err)
	}
	if _, err := events.Get(t.Context(), "none", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("one that was never told: %v", err)
	}
	var names []string
	for o := (metav1.ListOptions{Limit: 2}); ; {
		page, err := r.admin().CoreV1().Events("").List(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			names = append(names, e.Namespace+"/"+e.Name)
		}
		if o.Continue = page.Continue; o.Continue == "" {
			break
		}
	}
	if len(names) != 6 || !slices.IsSorted(names) {
		t.Errorf("in chunks: %v", names)
	}
	if modern, err := r.admin().EventsV1().Events("default").List(t.Context(), metav1.ListOptions{}); err != nil || len(modern.Items) != 1 || modern.Items[0].Note != "said of n1" {
		t.Errorf("of events.k8s.io: %v, %v", modern, err)
	}
	w, err := events.Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	tell(manifest.NodeRef("n1"), "NodeReady") // of another namespace
	tell(manifest.PodRef("web", "p1"), "Killing")
	tell(manifest.PodRef("web", "p0"), "Started")
	if e := next(t, w); e.Type != watch.Added || e.Object.(*corev1.Event).Reason != "Killing" {
		t.Errorf("a new event is told as %v", e)
	}
	if e := next(t, w); e.Type != watch.Modified || e.Object.(*corev1.Event).Count != 3 {
		t.Errorf("one that is told again is told as %v", e)
	}
	old := fmt.Sprint(now.Add(-time.Hour).UnixMilli() * 1000)
	if w, err := events.Watch(t.Context(), metav1.ListOptions{ResourceVersion: old}); !apierrors.IsResourceExpired(err) {
		if err == nil {
			w.Stop()
		}
		t.Errorf("from an earlier daemon's: %v", err)
	}
}

// Once all events are forgotten a list is no older than one before, and who watches waits.
func TestEvents_Forgotten(t *testing.T) {
	r := newRig(t)
	r.events.Record(state.Event{Ref: manifest.PodRef("web", "p"), Type: "Normal", Reason: "Started"})
	events := r.admin().CoreV1().Events("")
	before, err := events.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(before.Items) != 1 {
		t.Fatalf("%v, %v", before, err)
	}
	r.clock.Add(int64(2 * event.DefaultAge / time.Second))
	after, err := events.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(after.Items) != 0 || after.ResourceVersion != before.ResourceVersion {
		t.Errorf("a list of %s with %d events follows one of %s: %v", after.ResourceVersion, len(after.Items), before.ResourceVersion, err)
	}
	w, err := events.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	asked := r.lists.Load()
	time.Sleep(100 * time.Millisecond)
	if more := r.lists.Load() - asked; more > 5 {
		t.Errorf("a watch of nothing asks %d times in a moment", more)
	}
	r.events.Record(state.Event{Ref: manifest.PodRef("web", "q"), Type: "Normal", Reason: "Started"})
	if e := next(t, w); e.Type != watch.Added || e.Object.(*corev1.Event).InvolvedObject.Name != "q" {
		t.Errorf("a new event is told as %v", e)
	}
}
