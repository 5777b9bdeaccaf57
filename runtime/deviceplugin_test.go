package runtime

import (
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/manifest"
	"writ/state"
)

const chip = "example.com/chip"

func wantsChip(p *corev1.Pod) {
	p.Spec.RestartPolicy = corev1.RestartPolicyNever
	p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{chip: resource.MustParse("1")}
}

// has makes a new daemon find on disk that the node has chips, and that a Pod was given one.
func (g *rig) has(rec *state.Record) {
	g.t.Helper()
	pods := "{}"
	if rec != nil {
		pods = fmt.Sprintf(`{"%s":{"main":{"%s":{"ids":["a"],"kept":true}}}}`, rec.UID, chip)
	}
	g.stop()
	if err := os.WriteFile(g.dir+"/data/devices", fmt.Appendf(nil, `{"resources":["%s"],"pods":%s}`, chip, pods), 0o600); err != nil {
		g.t.Fatal(err)
	}
	g.up()
}

// A Pod that waited for the devices of one that ends comes as soon as the end is told: they are free by then.
func TestDevices_FreeBeforeTheEndIsTold(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *rig){
		"ended":   func(t *testing.T, g *rig) { g.shims.one(t).exit("main", 0) },
		"deleted": func(t *testing.T, g *rig) { g.world.end(t, "default", "one", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				g.world.adopt(t, node, "c1", pod("one", "img", wantsChip))
				settle()
				g.has(g.world.World().Get(manifest.PodRef("default", "one")))
				settle()
				if got := len(g.status("one").ContainerStatuses[0].AllocatedResourcesStatus); got != 1 {
					t.Fatalf("the status names %d resources, want the chip", got)
				}
				held := true // when the end was told
				g.world.refuse = func() error { held = len(g.r.devices.Pods()) > 0; return nil }
				end(t, g)
				after(10 * time.Second)
				if s := g.status("one"); s.Phase != corev1.PodSucceeded && !gone(s) {
					t.Fatalf("the pod is %s", s.Phase)
				}
				if held {
					t.Error("the pod has ended and holds its device")
				}
			})
		})
	}
}
