package runtime

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/runtime/shim"
)

func TestRuntimeClass_Chosen(t *testing.T) {
	class := func(name, handler string) *nodev1.RuntimeClass {
		return &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Handler: handler}
	}
	under := func(class string, change func(*corev1.Pod)) *corev1.Pod {
		return pod("web", "img", func(p *corev1.Pod) {
			p.Spec.RuntimeClassName = &class
			if change != nil {
				change(p)
			}
		})
	}
	no := false
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want *shim.Runtime
		told string
	}{
		"none":     {pod: pod("web", "img", nil)},
		"built in": {pod: under("ours", nil)},
		"other":    {pod: under("other", nil), want: &shim.Runtime{Name: "crun", Path: "/usr/bin/crun", Root: "/run/crun"}},
		"unknown":  {pod: under("gone", nil), told: `Failed to create pod sandbox: failed to get sandbox runtime: no runtime for "kata" is configured`},
		"no class": {pod: under("nosuch", nil), told: `Failed to create pod sandbox: runtimeclass.node.k8s.io "nosuch" not found`},
		"users": {pod: under("other", func(p *corev1.Pod) { p.Spec.HostUsers = &no }),
			told: "Failed to create pod sandbox: can't set `spec.hostUsers: false`, RuntimeClass handler \"crun\" does not support user namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				g.world.adopt(t, node, "c1", class("ours", "runc"), class("other", "crun"), class("gone", "kata"), tt.pod)
				settle()
				if tt.told != "" {
					if len(g.shims.pods) != 0 || g.count("FailedCreatePodSandBox") == 0 || !strings.Contains(strings.Join(g.told, "\n"), tt.told) {
						t.Errorf("told %q, want %q", g.told, tt.told)
					}
					return
				}
				s := g.shims.one(t)
				if diff := cmp.Diff(tt.want, s.requests[0].Runtime); diff != "" {
					t.Errorf("run by -want +got:\n%s", diff)
				}
				// A class that changes changes no Pod, over a restart of the daemon either.
				g.stop()
				g.world.adopt(t, node, "c2", class("other", "kata"))
				g.up()
				settle()
				g.shims.one(t).exit("main", 1)
				after(time.Minute)
				s = g.shims.one(t)
				if diff := cmp.Diff(tt.want, s.requests[len(s.requests)-1].Runtime); diff != "" || len(s.requests) != 2 {
					t.Errorf("run again by -want +got, %d starts:\n%s", len(s.requests), diff)
				}
			})
		})
	}
}
