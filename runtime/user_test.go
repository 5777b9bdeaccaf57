package runtime

import (
	"reflect"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

func TestContainerUser(t *testing.T) {
	got := containerUser(userLabel(specs.User{UID: 1000, GID: 3000, AdditionalGids: []uint32{3000, 4000}}))
	want := &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: 1000, GID: 3000, SupplementalGroups: []int64{3000, 4000}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if label := pastUser(got); label != "1000:3000:3000:4000" || pastUser(nil) != "" {
		t.Errorf("the past user is %q", label)
	}
	for _, odd := range []string{"", "1", "a:b", "1:2:"} {
		if got := containerUser(odd); got != nil {
			t.Errorf("%q gave %v", odd, got)
		}
	}
}
