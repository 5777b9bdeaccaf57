package manifest

import (
	"bytes"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestNew_EveryKindHasATypeThatEncodes(t *testing.T) {
	for gk, k := range kinds {
		obj, ok := New(gk)
		if !ok {
			t.Fatalf("New(%s): not known", gk)
		}
		obj.SetName("x")
		obj.SetLabels(map[string]string{"b": "1", "a": "2", "d": "3", "c": "4"})
		data, err := Encode(obj)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if again, _ := Encode(obj); !bytes.Equal(again, data) {
				t.Fatalf("Encode(%s): two encodings of one object differ", gk)
			}
		}
		back, err := Decode(gk, data)
		if err != nil {
			t.Fatal(err)
		}
		if !equality.Semantic.DeepEqual(obj, back) {
			t.Errorf("Decode(Encode(%s)) = %v, want %v", gk, back, obj)
		}
		if k.namespaced != IsNamespaced(gk) || k.resource == "" {
			t.Errorf("%s: namespaced %v, resource %q", gk, k.namespaced, k.resource)
		}
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
		if got := RefOf(obj).GroupKind(); got.Kind != gk.Kind {
			t.Errorf("RefOf without a TypeMeta = %s, want %s", got, gk)
		}
	}
}

func TestDecode_Custom(t *testing.T) {
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget",
		"metadata": map[string]any{"name": "w", "namespace": "n"},
		"spec":     map[string]any{"size": int64(3), "b": "x", "a": "y"},
	}}
	data, err := Encode(obj)
	if err != nil {
		t.Fatal(err)
	}
	gk := schema.GroupKind{Group: "example.com", Kind: "Widget"}
	back, err := Decode(gk, data)
	if err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(obj, back) {
		t.Errorf("Decode = %v, want %v", back, obj)
	}
	if _, err := Decode(schema.GroupKind{Group: "example.com", Kind: "Other"}, data); err == nil {
		t.Error("Decode as another kind: no error")
	}
}

func TestActedAndRestricts(t *testing.T) {
	var gotActed, gotRestricts []string
	for gk := range kinds {
		if Acted(gk) {
			gotActed = append(gotActed, gk.Kind)
		}
		if Restricts(gk) {
			gotRestricts = append(gotRestricts, gk.Kind)
		}
	}
	slices.Sort(gotActed)
	slices.Sort(gotRestricts)
	wantActed := []string{"ConfigMap", "ControllerRevision", "CronJob", "DaemonSet", "Deployment", "EndpointSlice", "Endpoints", "HorizontalPodAutoscaler", "Job", "Namespace", "Node", "PersistentVolume", "PersistentVolumeClaim",
		"Pod", "PodDisruptionBudget", "ReplicaSet", "ReplicationController", "RuntimeClass", "Secret", "Service", "ServiceAccount", "StatefulSet", "StorageClass"}
	if !slices.Equal(gotActed, wantActed) {
		t.Errorf("acted on: %v, want %v", gotActed, wantActed)
	}
	if want := []string{"LimitRange", "NetworkPolicy", "ResourceQuota"}; !slices.Equal(gotRestricts, want) {
		t.Errorf("restricting: %v, want %v", gotRestricts, want)
	}
}

func TestTemplateAndSelector(t *testing.T) {
	for gk, k := range kinds {
		obj := k.empty()
		if got := Template(obj); (got != nil) != (k.template != nil) && gk.Kind != "ReplicationController" {
			t.Errorf("Template(%s) = %v", gk, got)
		}
		if Selector(obj).Matches(labels.Set{"a": "b"}) && gk.Kind != "NetworkPolicy" {
			t.Errorf("Selector(empty %s) matches", gk)
		}
	}
	svc := &corev1.Service{Spec: corev1.ServiceSpec{Selector: map[string]string{"a": "b"}}}
	if s := Selector(svc); !s.Matches(labels.Set{"a": "b", "c": "d"}) || s.Matches(labels.Set{"a": "c"}) {
		t.Errorf("Selector(service) = %s", s)
	}
}

func TestPodReferences(t *testing.T) {
	local := func(n string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: n} }
	spec := &corev1.PodSpec{
		ImagePullSecrets: []corev1.LocalObjectReference{local("pull")},
		Containers: []corev1.Container{{
			Env: []corev1.EnvVar{
				{Name: "A", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: local("envmap"), Key: "k"}}},
				{Name: "B", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local("envsecret"), Key: "k"}}},
				{Name: "C", Value: "x"},
			},
			EnvFrom: []corev1.EnvFromSource{
				{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("from")}},
				{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: local("from")}},
			},
		}},
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: local("from")}}},
			{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "volume"}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: local("projected")}},
				{Secret: &corev1.SecretProjection{LocalObjectReference: local("projected")}},
			}}}},
		},
	}
	maps, secrets := PodReferences(spec)
	if want := []string{"envmap", "from", "projected"}; !slices.Equal(maps, want) {
		t.Errorf("ConfigMaps %v, want %v", maps, want)
	}
	if want := []string{"envsecret", "from", "projected", "pull", "volume"}; !slices.Equal(secrets, want) {
		t.Errorf("Secrets %v, want %v", secrets, want)
	}
}
