package state

import (
	"reflect"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
)

func withAutoscaler(t *testing.T) (*World, manifest.Ref) {
	t.Helper()
	ref := manifest.Ref{Group: "autoscaling", Kind: "HorizontalPodAutoscaler", Namespace: "shop", Name: "web"}
	o := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	w := example(t)
	return apply(t, w, reconcile(w, Put{Ref: ref, Object: o, Origin: Derived})), ref
}

// What was measured and what an autoscaler remembers come back from disk as they were.
func TestRecord_Scaling(t *testing.T) {
	w, ref := withAutoscaler(t)
	at := time.Unix(1000, 5).UTC()
	metrics := &Metrics{At: at, Results: []Measured{
		{Metric: "resource cpu", Samples: []Sample{{Pod: "a", Value: 250, At: at, Window: time.Minute}, {Pod: "b", Value: -3, At: at}}},
		{Metric: "pods m", Trouble: "connection refused"},
	}}
	scaling := &Scaling{Looked: at, Scaled: at.Add(time.Second), Target: manifest.DeploymentRef("shop", "web"),
		Recommended: []Resized{{Replicas: 3, At: at}, {At: at.Add(1)}}, Up: []Resized{{Replicas: 2, At: at}}, Down: []Resized{{Replicas: 1, At: at}}}
	observed := Batch{Writer: WriterMetrics, Puts: []Put{{Ref: ref, UID: w.Get(ref).UID, Metrics: metrics}}}
	remembered := reconcile(w, Put{Ref: ref, Scaling: scaling})
	if !observed.Observation() || !remembered.Observation() {
		t.Error("what is measured every few seconds goes to the log")
	}
	w = apply(t, apply(t, w, observed), remembered)
	data, err := EncodeRecord(w.Get(ref))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := DecodeRecord(data)
	if err != nil || !reflect.DeepEqual(stored.Metrics, metrics) || !reflect.DeepEqual(stored.Scaling, scaling) {
		t.Errorf("stored: %v\n%+v\n%+v", err, stored.Metrics, stored.Scaling)
	}
}

// Only who measures says what was measured, only of autoscalers, and nothing else.
func TestApply_Metrics(t *testing.T) {
	w, ref := withAutoscaler(t)
	m, web := &Metrics{At: time.Unix(1, 0)}, manifest.DeploymentRef("shop", "web")
	for name, b := range map[string]Batch{
		"reconcile measures":   reconcile(w, Put{Ref: ref, Metrics: m}),
		"a node measures":      {Writer: NodeWriter("node-1"), Puts: []Put{{Ref: ref, Metrics: m}}},
		"a node remembers":     {Writer: NodeWriter("node-1"), Puts: []Put{{Ref: ref, Scaling: &Scaling{}}}},
		"of a Deployment":      {Writer: WriterMetrics, Puts: []Put{{Ref: web, Metrics: m}}},
		"a status":             {Writer: WriterMetrics, Puts: []Put{{Ref: ref, Metrics: m, Status: &autoscalingv2.HorizontalPodAutoscalerStatus{}}}},
		"an allocation":        {Writer: WriterMetrics, Puts: []Put{{Ref: ref, Metrics: m, Allocation: &Allocation{}}}},
		"the autoscaler's own": {Writer: WriterMetrics, Puts: []Put{{Ref: ref, Metrics: m, Scaling: &Scaling{}}}},
	} {
		if _, _, err := Apply(w, b, w.Revision()+1); err == nil {
			t.Errorf("%s, and it was taken", name)
		}
	}
}
