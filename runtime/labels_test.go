package runtime

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
)

// A level is given back when nothing of its Pod runs any more, and not before.
func TestLabels_AreGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		var made, released []string
		g.r.machine.LSM.Labels = func([]string) (string, string, error) {
			made = append(made, "u:r:t:s0:c1,c2")
			return made[0], "", nil
		}
		g.r.machine.LSM.Release = func(l string) { released = append(released, l) }
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		if len(made) != 1 || len(released) != 0 {
			t.Fatalf("made %q, released %q", made, released)
		}
		g.world.end(t, "default", "web", 0)
		after(5 * time.Second)
		if !slices.Equal(released, made) {
			t.Errorf("released are %q, want %q", released, made)
		}
	})
}

// A level that is none keeps the Pod from starting, and says why.
func TestLabels_LevelThatIsNone(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.r.machine.LSM.Labels = func([]string) (string, string, error) { return "u:r:t:s0", "", nil }
		g.world.adopt(t, node, "c1", pod("web", "img", func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{SELinuxOptions: &corev1.SELinuxOptions{Level: "high"}}
		}))
		settle()
		want := `Warning FailedCreatePodSandBox: Failed to create pod sandbox: failed to init selinux options: the format of 'level' "high" is not correct`
		g.mu.Lock()
		defer g.mu.Unlock()
		if !slices.Contains(g.told, want) || g.world.World().Get(manifest.PodRef("default", "web")).PodStatus().Phase != corev1.PodPending {
			t.Errorf("events are %q, want %q", g.told, want)
		}
	})
}
