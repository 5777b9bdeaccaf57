package runtime

import (
	"testing"
	"testing/fstest"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestHugePages(t *testing.T) {
	list, err := hugePages(fstest.MapFS{
		"hugepages-2048kB/nr_hugepages":    {Data: []byte("8\n")},
		"hugepages-1048576kB/nr_hugepages": {Data: []byte("0\n")},
		"other/nr_hugepages":               {Data: []byte("5\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	got2, got1 := list["hugepages-2Mi"], list["hugepages-1Gi"]
	if len(list) != 2 || got2.Cmp(resource.MustParse("16Mi")) != 0 || !got1.IsZero() {
		t.Errorf("got %v, want 16Mi of 2Mi and none of 1Gi", list)
	}
	if none, err := hugePages(fstest.MapFS{}); err != nil || len(none) != 0 {
		t.Errorf("a machine without: %v %v", none, err)
	}
	if _, err := hugePages(fstest.MapFS{"hugepages-2048kB/nr_hugepages": {Data: []byte("many")}}); err == nil {
		t.Error("a number that is none is taken")
	}
}

// Memory that is huge pages cannot be asked for as memory.
func TestAllocatable_HugePages(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		capacity := corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourceCPU: resource.MustParse("4"),
			"hugepages-2Mi": resource.MustParse("1Gi")}
		without := capacity.DeepCopy()
		delete(without, "hugepages-2Mi")
		more, less := g.r.allocatableOf(without)[corev1.ResourceMemory], g.r.allocatableOf(capacity)[corev1.ResourceMemory]
		less.Add(resource.MustParse("1Gi"))
		if more.Cmp(less) != 0 {
			t.Errorf("1Gi of huge pages leaves %s less a Gi, want %s", less.String(), more.String())
		}
		if all := g.r.allocatableOf(capacity)["hugepages-2Mi"]; all.Cmp(resource.MustParse("1Gi")) != 0 {
			t.Errorf("huge pages: %s, want all", all.String())
		}
	})
}

func TestResourceConfig_Validate(t *testing.T) {
	for name, tt := range map[string]struct {
		c  ResourceConfig
		ok bool
	}{
		"nothing":   {ResourceConfig{}, true},
		"swap":      {ResourceConfig{MemorySwap: "UnlimitedSwap"}, false},
		"period":    {ResourceConfig{CFSPeriod: 1}, false},
		"handler":   {ResourceConfig{Handlers: []RuntimeHandler{{Name: "a", Path: "/a"}, {Name: "b", Path: "/b", Root: "/r"}}}, true},
		"twice":     {ResourceConfig{Handlers: []RuntimeHandler{{Name: "a", Path: "/a"}, {Name: "a", Path: "/b"}}}, false},
		"ours":      {ResourceConfig{Handlers: []RuntimeHandler{{Name: "runc", Path: "/a"}}}, false},
		"relative":  {ResourceConfig{Handlers: []RuntimeHandler{{Name: "a", Path: "a"}}}, false},
		"no name":   {ResourceConfig{Handlers: []RuntimeHandler{{Name: "../a", Path: "/a"}}}, false},
		"plugins":   {ResourceConfig{DevicePlugins: "plugins"}, false},
		"swap, all": {ResourceConfig{MemorySwap: LimitedSwap}, true},
	} {
		if err := tt.c.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
