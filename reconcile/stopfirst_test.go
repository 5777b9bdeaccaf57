package reconcile

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/google/uuid"

	"writ/manifest"
	"writ/state"
)

// Of several old ReplicaSets those go first whose Pods have the host port that new ones need.
func TestDeployment_LeavingOrder(t *testing.T) {
	of := func(name string, port int32, cpu string) *revision {
		rs := &appsv1.ReplicaSet{}
		rs.Spec.Template.Spec.Containers = []corev1.Container{{
			Ports:     []corev1.ContainerPort{{HostPort: port}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}},
		}}
		return &revision{r: &state.Record{Ref: manifest.ReplicaSetRef("default", name)}, rs: rs}
	}
	tests := []struct {
		name string
		next *revision
		want string
	}{
		{"no port: the oldest first", of("next", 0, "1"), "small big port"},
		{"the port of the third", of("next", 80, "1"), "port small big"},
		{"there is no new one", nil, "small big port"},
	}
	d := &draft{w: state.NewWorld(uuid.MustParse("00000000-0000-4000-8000-000000000001"))}
	for _, tt := range tests {
		x := &deployment{d: d, next: tt.next, old: []*revision{of("small", 0, "1"), of("big", 0, "2"), of("port", 80, "1")}}
		got := ""
		for _, v := range x.leaving() {
			got += " " + v.r.Ref.Name
		}
		if got != " "+tt.want {
			t.Errorf("%s: got%s, want %s", tt.name, got, tt.want)
		}
		if fmt.Sprint(x.old[0].r.Ref.Name) != "small" {
			t.Errorf("%s: the list itself was sorted", tt.name)
		}
	}
}
