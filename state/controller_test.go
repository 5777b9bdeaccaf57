package state

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
)

// Who controls an authored Pod stands beside it: it is indexed, stored and shown, and what was written stays as it is.
func TestRecord_Controller(t *testing.T) {
	w := example(t)
	ref := manifest.PodRef("a", "lone")
	w = apply(t, w, reconcile(w, Put{Ref: ref, Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "lone"}}, Origin: Derived}))
	owned := func() (refs []manifest.Ref) {
		for r := range w.Owned("u1") {
			refs = append(refs, r.Ref)
		}
		return refs
	}
	by := &Controller{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "u1"}
	w = apply(t, w, reconcile(w, Put{Ref: ref, Controller: by}))
	if got := owned(); !slices.Equal(got, []manifest.Ref{ref}) {
		t.Errorf("owned: %v", got)
	}
	r := w.Get(ref)
	data, err := EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeRecord(data)
	if err != nil || *back.Controller != *by {
		t.Errorf("stored: %+v %v", back.Controller, err)
	}
	if c := metav1.GetControllerOf(r.Full()); c == nil || c.UID != "u1" || c.Kind != "ReplicaSet" {
		t.Errorf("shown: %+v", c)
	}
	if len(r.Object.GetOwnerReferences()) != 0 {
		t.Errorf("written: %+v", r.Object.GetOwnerReferences())
	}
	node := Batch{Writer: NodeWriter("node-1"), Puts: []Put{{Ref: ref, Controller: by}}}
	if _, _, err := Apply(w, node, w.Revision()+1); err == nil {
		t.Error("a node says who controls a pod")
	}
	w = apply(t, w, reconcile(w, Put{Ref: ref, Controller: &Controller{}}))
	if got := owned(); len(got) != 0 || w.Get(ref).Controller != nil || ControllerOf(w.Get(ref)) != nil {
		t.Errorf("let go: %v, %+v", got, w.Get(ref).Controller)
	}
}
