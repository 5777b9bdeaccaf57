package state_test

import (
	"bytes"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// A damaged store or a record of a supervisor is an error, or a record that is stored again as it is.
func FuzzDecodeRecord(f *testing.F) {
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = "a", "b"
	pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "d"}}
	seeds := []*state.Record{
		{Ref: manifest.PodRef("a", "b"), UID: "u", Object: pod, Origin: state.Derived, Created: time.Unix(5, 6), Node: "n",
			Deletion: &state.Deletion{At: time.Unix(7, 0), Reason: "r"}, Status: &corev1.PodStatus{PodIP: "10.0.0.1"}},
		{Ref: manifest.ConfigMapRef("a", "c"), Object: &corev1.ConfigMap{Data: map[string]string{"k": "v"}}, Annotations: map[string]string{"x": "y"}},
		{Ref: manifest.ServiceRef("a", "d"), Object: &corev1.Service{}, Allocation: &state.Allocation{}},
	}
	for _, r := range seeds {
		data, err := state.EncodeRecord(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := state.DecodeRecord(data)
		if err != nil {
			return
		}
		once, err := state.EncodeRecord(r)
		if err != nil {
			return // what nobody would have stored
		}
		again, err := state.DecodeRecord(once)
		if err != nil {
			t.Fatalf("what was stored again cannot be read: %v", err)
		}
		if twice, err := state.EncodeRecord(again); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("it is not the same the third time: %v\n%q\n%q", err, once, twice)
		}
	})
}
