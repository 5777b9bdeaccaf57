package manifest

import (
	"os"
	"testing"
	"testing/fstest"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

func everyKind(t testing.TB) fstest.MapFS {
	t.Helper()
	data, err := os.ReadFile("testdata/kinds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{"kinds.yaml": {Data: data}}
}

func TestLoad_EveryKind(t *testing.T) {
	set := mustLoad(t, everyKind(t), nil)
	seen := map[schema.GroupKind]bool{}
	for item := range set.All() {
		gk := item.Ref.GroupKind()
		seen[gk] = true
		if got := item.Object.GetObjectKind().GroupVersionKind(); got != GVK(item.Ref) {
			t.Errorf("%s is stored as %s", item.Ref, got)
		}
		if again := Default(item.Object); !equality.Semantic.DeepEqual(again, item.Object) {
			t.Errorf("Default of the defaulted %s differs:\n%v\n%v", item.Ref, again, item.Object)
		}
		if problems := Validate(item.Object); problems != nil {
			t.Errorf("Validate(%s) = %q", item.Ref, problems)
		}
		if problems := ValidateUpdate(item.Object, item.Object); problems != nil {
			t.Errorf("ValidateUpdate(%s, itself) = %q", item.Ref, problems)
		}
		data, err := Encode(item.Object)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(gk, data)
		if err != nil {
			t.Fatal(err)
		}
		if !equality.Semantic.DeepEqual(back, item.Object) {
			t.Errorf("Decode(Encode(%s)) differs:\n%v\n%v", item.Ref, back, item.Object)
		}
	}
	for gk := range kinds {
		if !seen[gk] {
			t.Errorf("no example of %s", gk)
		}
	}
}

func TestLoad_ConvertsToTheStoredVersion(t *testing.T) {
	set := mustLoad(t, everyKind(t), nil)
	item, _ := set.Get(Ref{Group: "autoscaling", Kind: "HorizontalPodAutoscaler", Namespace: "default", Name: "a"})
	hpa := item.Object.(*autoscalingv2.HorizontalPodAutoscaler)
	if len(hpa.Spec.Metrics) != 1 || *hpa.Spec.Metrics[0].Resource.Target.AverageUtilization != 50 {
		t.Errorf("metrics %+v, want the target of v1", hpa.Spec.Metrics)
	}
	item, _ = set.Get(SecretRef("default", "a"))
	secret := item.Object.(*corev1.Secret)
	if string(secret.Data["password"]) != "hunter2" || string(secret.Data["user"]) != "root" || secret.StringData != nil {
		t.Errorf("secret %+v, want stringData in data", secret)
	}
}
