package runtime

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/runtime/shim"
)

func TestRelist_FindsWhatWasNotTold(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }))
		settle()
		s := g.shims.one(t)
		s.mu.Lock()
		s.silent = true
		s.mu.Unlock()
		s.exit("main", 3)
		settle()
		if got := g.status("web").Phase; got != corev1.PodRunning {
			t.Fatalf("phase is %s: the shim told of the end after all", got)
		}
		after(2 * relistPeriod)
		if got := g.status("web"); got.Phase != corev1.PodFailed || got.ContainerStatuses[0].State.Terminated.ExitCode != 3 {
			t.Errorf("phase is %s with %v, want Failed with exit code 3", got.Phase, got.ContainerStatuses[0].State)
		}
	})
}

func TestRelist_IsSpreadAndRare(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		const pods, hours = 12, 2
		var all []manifest.Object
		for i := range pods {
			all = append(all, pod(fmt.Sprint("p", i), "img", nil))
		}
		g.world.adopt(t, node, "c1", all...)
		settle()
		count := func() (sum int) {
			g.shims.mu.Lock()
			defer g.shims.mu.Unlock()
			for _, s := range g.shims.pods {
				s.mu.Lock()
				sum += s.states
				s.mu.Unlock()
			}
			return sum
		}
		after(relistPeriod)
		before, busiest := count(), 0
		for range hours * 60 {
			was := count()
			after(time.Minute)
			busiest = max(busiest, count()-was)
		}
		asked, most := count()-before, int(hours*time.Hour/relistPeriod)*pods
		if asked > most+1 || asked < most*9/10 {
			t.Errorf("%d pods were asked %d times in %d hours, want %d", pods, asked, hours, most)
		}
		if want := pods/int(relistPeriod/time.Minute) + 1; busiest > want {
			t.Errorf("%d pods were asked in one minute, want at most %d", busiest, want)
		}
	})
}

func TestRelist_ReplacesAShimThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		s := g.shims.one(t)
		s.mu.Lock()
		s.hung = true
		s.mu.Unlock()
		after(relistPeriod + relistLimit + time.Second)
		g.shims.mu.Lock()
		early := g.shims.ended
		g.shims.mu.Unlock()
		after(2 * relistPeriod)
		g.shims.mu.Lock()
		defer g.shims.mu.Unlock()
		if early != 0 || g.shims.ended != 1 {
			t.Errorf("the shim was ended %d times after one answer that did not come and %d times in the end, want 0 and 1", early, g.shims.ended)
		}
	})
}

func TestObserve_NeverGoesBack(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("once", "img", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }))
		settle()
		s := g.shims.one(t)
		s.mu.Lock()
		running := s.containers[0]
		s.mu.Unlock()
		s.exit("main", 7)
		settle()
		g.r.mu.Lock()
		for _, w := range g.r.workers {
			w.post(func() { w.observe(running) }) // an answer that an event overtook
		}
		g.r.mu.Unlock()
		settle()
		if got := g.status("once"); got.Phase != corev1.PodFailed || got.ContainerStatuses[0].State.Terminated == nil {
			t.Errorf("phase is %s with %v after old news, want Failed", got.Phase, got.ContainerStatuses[0].State)
		}
	})
}

func TestStop_TellsWhatCannotBeKilled(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		s := g.shims.one(t)
		s.mu.Lock()
		s.stuck = shim.Errorf(shim.CodeTimeout, `container "main" has not ended 30s after it was killed: process 5 (cat) is in an uninterruptible sleep in nfs_wait`)
		s.mu.Unlock()
		g.world.end(t, "default", "web", 1)
		after(10 * time.Second)
		want := `Warning FailedKillPod: error killing pod: failed to "KillContainer" for "main" with KillContainerError: "container \"main\" has not ended 30s after it was killed: process 5 (cat) is in an uninterruptible sleep in nfs_wait"`
		g.mu.Lock()
		told := strings.Join(g.told, "\n")
		g.mu.Unlock()
		if !strings.Contains(told, want) {
			t.Errorf("events are\n%s\nwant among them\n%s", told, want)
		}
		s.mu.Lock()
		s.stuck = nil
		s.mu.Unlock()
		after(10 * time.Second)
		if got := s.said(&s.stops); strings.Count(got, "main") < 2 {
			t.Errorf("stops are %q, want it asked again", got)
		}
	})
}

func TestUpgrade_TriesUntilThePodIsQuiet(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		g.stop()
		answers := []error{shim.Errorf(shim.CodeConflict, "an exec is open"), errors.New("no space left on device"), nil, nil}
		g.shims.upgrade = func() (string, error) {
			err := answers[0]
			answers = answers[1:]
			return "two", err
		}
		g.up()
		after(time.Hour)
		g.shims.mu.Lock()
		defer g.shims.mu.Unlock()
		if g.shims.upgrades != 3 {
			t.Errorf("%d upgrades were asked for, want 3: two that failed and one", g.shims.upgrades)
		}
	})
}

// A session may be open for hours: each try starts a program and makes requests wait.
func TestUpgrade_SeldomWhileThePodIsBusy(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		g.stop()
		g.shims.upgrade = func() (string, error) { return "", shim.Errorf(shim.CodeConflict, "an exec is open") }
		g.up()
		after(time.Hour)
		g.shims.mu.Lock()
		defer g.shims.mu.Unlock()
		if n := g.shims.upgrades; n < 12 || n > 25 {
			t.Errorf("%d upgrades were asked for in an hour, want from a second to five minutes apart", n)
		}
	})
}

func TestUpgrade_LeavesWhatCannot(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", nil))
		settle()
		g.stop()
		g.shims.upgrade = func() (string, error) {
			return "", shim.Errorf(shim.CodeUnsupported, `operation "upgrade" is not known here`)
		}
		g.up()
		after(time.Hour)
		g.shims.mu.Lock()
		defer g.shims.mu.Unlock()
		if g.shims.upgrades != 1 {
			t.Errorf("%d upgrades were asked for of a shim that cannot, want 1", g.shims.upgrades)
		}
	})
}

// A container that runs gets its other image also where it is never restarted; one that has ended does not.
func TestWorker_AnotherImageWithNever(t *testing.T) {
	two := func(image string) *corev1.Pod {
		return pod("web", image, func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "done", Image: image})
		})
	}
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", two("img"))
		settle()
		s := g.shims.one(t)
		s.exit("done", 1)
		settle()
		g.world.adopt(t, node, "c2", two("img:2"))
		after(5 * time.Second)
		if got := s.said(&s.starts); !strings.HasSuffix(got, ", main 1") || strings.Contains(got, "done 1") {
			t.Errorf("starts are %q, want another one of main", got)
		}
		if got := g.status("web"); got.Phase != corev1.PodRunning || got.ContainerStatuses[0].State.Running == nil || got.ContainerStatuses[0].Image != "img:2" {
			t.Errorf("the pod is %s, its container %v", got.Phase, got.ContainerStatuses[0])
		}
	})
}

// What is known of one container's back-off is known still when another could not be removed at once.
func TestWorker_BackOffOfAResetThatFails(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.world.adopt(t, node, "c1", pod("web", "img", func(p *corev1.Pod) {
			ruled(corev1.ContainerRestartRuleActionRestartAllContainers)(p)
			second := *p.Spec.Containers[0].DeepCopy()
			second.Name = "second"
			p.Spec.Containers = append(p.Spec.Containers, second)
		}))
		settle()
		s := g.shims.one(t)
		s.mu.Lock()
		s.sticky = "second"
		s.mu.Unlock()
		s.exit("main", 7)
		s.exit("second", 7)
		after(5 * time.Second)
		s.mu.Lock()
		s.sticky = ""
		s.mu.Unlock()
		after(time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		levels := map[string]string{}
		for _, r := range s.requests {
			levels[r.Name] = r.Labels[labelLevel]
		}
		if len(s.requests) != 4 || levels["main"] != "1" || levels["second"] != "1" {
			t.Errorf("%d starts, levels %v, want two of each, at last at level 1", len(s.requests), levels)
		}
	})
}
