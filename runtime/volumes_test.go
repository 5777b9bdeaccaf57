package runtime

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A volume that cannot be made holds its Pod back, and no other volume: a container that an earlier daemon started
// goes on using those.
func TestVolumes_OneThatCannotBeMade(t *testing.T) {
	of := func(name string) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}}
	}
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "there"}, Data: map[string]string{"key": "text"}},
			pod("web", "img", func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{of("missing"), of("there"), of("lost")} }))
		settle()
		w := g.worker("web")
		if got, err := os.ReadFile(filepath.Join(w.volumeSet().Path("there"), "key")); string(got) != "text" {
			t.Errorf("the volume after it holds %q, %v, want text", got, err)
		}
		if n := g.count("FailedMount"); n != 2 || g.count("Started") != 0 {
			t.Errorf("%d volumes failed and %d containers started, want 2 and none", n, g.count("Started"))
		}
	})
}
