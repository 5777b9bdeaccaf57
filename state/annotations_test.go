package state

import (
	"maps"
	"testing"

	"writ/manifest"
)

// Computed annotations are stored, shown beside the author's, and never part of the authored object.
func TestRecord_Annotations(t *testing.T) {
	w := example(t)
	ref := manifest.DeploymentRef("shop", "web")
	want := map[string]string{"a/revision": "7", "empty": ""}
	b := reconcile(w, Put{Ref: ref, Annotations: want})
	if b.Observation() {
		t.Error("computed annotations count as an observation")
	}
	w = apply(t, w, b)
	data, err := EncodeRecord(w.Get(ref))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := DecodeRecord(data)
	if err != nil || !maps.Equal(stored.Annotations, want) {
		t.Errorf("stored: %v %v, want %v", stored.Annotations, err, want)
	}
	full := w.Get(ref).Full().GetAnnotations()
	if full["a/revision"] != "7" || w.Get(ref).Object.GetAnnotations()["a/revision"] != "" {
		t.Errorf("shown %v, authored %v", full, w.Get(ref).Object.GetAnnotations())
	}
	node := Batch{Writer: NodeWriter("node-1"), Puts: []Put{{Ref: ref, Annotations: want}}}
	if _, _, err := Apply(w, node, w.Revision()+1); err == nil {
		t.Error("a node annotated an object")
	}
}
