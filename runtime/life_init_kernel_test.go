//go:build kernel

package runtime

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/runtime/shim"
	"writ/state"
)

func initial(name, script string) corev1.Container {
	return corev1.Container{Name: name, Image: busyboxImage, Command: []string{"sh", "-c", script}}
}

func initStatus(s *corev1.PodStatus, i int) *corev1.ContainerStatus {
	if len(s.InitContainerStatuses) <= i {
		return &corev1.ContainerStatus{}
	}
	return &s.InitContainerStatuses[i]
}

func TestLife_InitContainers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("slow", busyboxImage, func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{
				initial("one", "echo one >>/trace/log; while ! [ -e /trace/go ]; do sleep 0.02; done"), initial("two", "echo two >>/trace/log")}
			sh("echo main >>/trace/log; trap exit TERM; sleep 1000 & wait")(p)
			b.traced(p)
		}),
		pod("again", busyboxImage, func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{initial("one", "exit 4")}
		}),
		pod("failed", busyboxImage, func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Spec.InitContainers = []corev1.Container{initial("one", "exit 4"), initial("two", "true")}
		}))
	s := b.world.await(t, "default", "slow", "in its first", patience, func(s *corev1.PodStatus) bool { return initStatus(s, 0).State.Running != nil })
	c := state.PodCondition(s, corev1.PodInitialized)
	if w := main0(s).State.Waiting; s.Phase != corev1.PodPending || w == nil || w.Reason != "PodInitializing" || initStatus(s, 1).State.Waiting == nil ||
		c == nil || c.Reason != "ContainersNotInitialized" || c.Message != "containers with incomplete status: [one two]" {
		t.Errorf("while the first runs: %s", s)
	}
	b.output2("slow", "one", "touch", "/trace/go")
	s = b.isReady("slow")
	b.awaitTrace("slow", "one two main")
	if one := initStatus(s, 0); one.State.Terminated == nil || one.State.Terminated.Reason != "Completed" || !one.Ready || one.RestartCount != 0 {
		t.Errorf("the first ended as %v", one)
	}
	s = b.world.await(t, "default", "again", "in back-off", patience, func(s *corev1.PodStatus) bool {
		w := initStatus(s, 0).State.Waiting
		return w != nil && w.Reason == "CrashLoopBackOff" && initStatus(s, 0).RestartCount == 1
	})
	if got := initStatus(s, 0).State.Waiting.Message; !strings.HasPrefix(got, "back-off 10s restarting failed container=one pod=again_default(") || s.Phase != corev1.PodPending {
		t.Errorf("phase %s and message %q", s.Phase, got)
	}
	s = b.world.await(t, "default", "failed", "failed", patience, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodFailed })
	if one := initStatus(s, 0).State.Terminated; one == nil || one.ExitCode != 4 || initStatus(s, 1).State.Waiting == nil || main0(s).State.Waiting == nil {
		t.Errorf("a pod whose init container failed for good is %s", s)
	}
}

// output2 runs a command in a container by name.
func (b *bed) output2(name, container string, args ...string) string {
	b.t.Helper()
	var out strings.Builder
	code, err := b.r.Exec(b.t.Context(), ExecOptions{Namespace: "default", Pod: name, Container: container, Command: args, Stdout: &out, Stderr: &out})
	if err != nil || code != 0 {
		b.t.Fatalf("exec %q in %s/%s: exit %d, %v: %s", args, name, container, code, err, out.String())
	}
	return out.String()
}

// Sidecars start one after the other, the next once the startup probe passed; they end after all others, the
// last first, with their preStop at once; one that ends is started again.
func TestLife_Sidecars(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	always := corev1.ContainerRestartPolicyAlways
	side := func(name string) corev1.Container {
		c := initial(name, "trap 'echo "+name+"-term >>/trace/log; exit 0' TERM; echo "+name+" >>/trace/log; while true; do sleep 0.02; done")
		c.RestartPolicy = &always
		c.StartupProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"grep", "-qx", name, "/trace/log"}}}, PeriodSeconds: 1}
		return c
	}
	b.world.adopt(t, b.cfg.Node, "c1", pod("app", busyboxImage, func(p *corev1.Pod) {
		a, z := side("a"), side("z")
		a.Lifecycle = &corev1.Lifecycle{PreStop: execHook("echo a-pre >>/trace/log")}
		p.Spec.InitContainers = []corev1.Container{a, z, initial("last", "echo last >>/trace/log")}
		c := &p.Spec.Containers[0]
		c.Command = loop("TERM")
		c.Lifecycle = &corev1.Lifecycle{PreStop: execHook("sleep 0.5; echo main-pre >>/trace/log")}
		b.traced(p)
	}))
	s := b.isReady("app")
	if got := b.trace("app"); got != "a z last" {
		t.Errorf("order is %q, want a z last", got)
	}
	if c := initStatus(s, 0); c.Started == nil || !*c.Started || !c.Ready || c.State.Running == nil {
		t.Errorf("the sidecar is %v, want started and ready", c)
	}
	if _, err := b.r.Exec(t.Context(), ExecOptions{Namespace: "default", Pod: "app", Container: "z", Command: []string{"kill", "-TERM", "1"}}); err != nil {
		t.Fatal(err)
	}
	b.world.await(t, "default", "app", "its sidecar again", patience, func(s *corev1.PodStatus) bool { return initStatus(s, 1).RestartCount == 1 && initStatus(s, 1).Ready })
	if s := b.isReady("app"); main0(s).RestartCount != 0 || s.Phase != corev1.PodRunning {
		t.Errorf("after a sidecar ended the pod is %s", s)
	}
	b.world.end(t, "default", "app", 20)
	b.world.await(t, "default", "app", "gone", patience, gone)
	if got, want := b.trace("app"), "a z last z-term z a-pre main-pre term z-term a-term"; got != want {
		t.Errorf("order is\n%q, want\n%q", got, want)
	}
}

func TestLife_RestartRules(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	own := func(policy corev1.ContainerRestartPolicy, action corev1.ContainerRestartRuleAction, code int32) func(*corev1.Container) {
		return func(c *corev1.Container) {
			c.RestartPolicy = &policy
			if action != "" {
				c.RestartPolicyRules = []corev1.ContainerRestartRule{{Action: action, ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{code}}}}
			}
		}
	}
	once := func(code string) string {
		return "echo main >>/trace/log; [ -e /trace/again ] || { touch /trace/again; exit " + code + "; }; trap exit TERM; sleep 1000 & wait"
	}
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("own", busyboxImage, func(p *corev1.Pod) { // the pod says Always, its containers Never
			sh("exit 5")(p)
			own(corev1.ContainerRestartPolicyNever, "", 0)(&p.Spec.Containers[0])
		}),
		pod("rule", busyboxImage, func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			sh(once("42"))(p)
			own(corev1.ContainerRestartPolicyNever, corev1.ContainerRestartRuleActionRestart, 42)(&p.Spec.Containers[0])
			b.traced(p)
		}),
		pod("all", busyboxImage, func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{initial("one", "echo one >>/trace/log")}
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "other", Image: busyboxImage, Command: []string{"sh", "-c", "trap exit TERM; sleep 1000 & wait"}})
			sh("sleep 0.5; " + once("42"))(p)
			own(corev1.ContainerRestartPolicyNever, corev1.ContainerRestartRuleActionRestartAllContainers, 42)(&p.Spec.Containers[0])
			b.traced(p)
		}))
	s := b.world.await(t, "default", "own", "failed", patience, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodFailed })
	if c := main0(s); c.RestartCount != 0 || c.State.Terminated == nil || c.State.Terminated.ExitCode != 5 {
		t.Errorf("a container with its own Never is %v", c)
	}
	s = b.world.await(t, "default", "rule", "ready again", patience, func(s *corev1.PodStatus) bool { return ready(s) && main0(s).RestartCount == 1 })
	if c := main0(s); c.LastTerminationState.Terminated == nil || c.LastTerminationState.Terminated.ExitCode != 42 {
		t.Errorf("a container with a rule for its exit code is %v", c)
	}
	s = b.world.await(t, "default", "all", "ready again", patience, func(s *corev1.PodStatus) bool { return ready(s) && main0(s).RestartCount == 1 })
	for _, c := range append(s.InitContainerStatuses, s.ContainerStatuses...) {
		if last := c.LastTerminationState.Terminated; c.RestartCount != 1 || last == nil || last.Reason != "RestartingAllContainers" {
			t.Errorf("after all began anew %s is %v", c.Name, c)
		}
	}
	b.awaitTrace("all", "one main one main")
	if c := state.PodCondition(s, corev1.AllContainersRestarting); c == nil || c.Status != corev1.ConditionFalse {
		t.Errorf("condition is %v, want False again", c)
	}
}

func TestLife_StdinAndTerminal(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("deaf", busyboxImage, func(p *corev1.Pod) { command("cat")(p); p.Spec.RestartPolicy = corev1.RestartPolicyNever }),
		pod("open", busyboxImage, func(p *corev1.Pod) {
			command("sh", "-c", "trap exit TERM; read line; echo got $line; sleep 1000 & wait")(p)
			p.Spec.Containers[0].Stdin = true
		}),
		pod("once", busyboxImage, func(p *corev1.Pod) {
			command("cat")(p)
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Spec.Containers[0].Stdin, p.Spec.Containers[0].StdinOnce = true, true
		}),
		pod("tty", busyboxImage, func(p *corev1.Pod) {
			command("sh", "-c", "tty; stty size >/dev/null && echo terminal; trap exit TERM; sleep 1000 & wait")(p)
			p.Spec.Containers[0].Stdin, p.Spec.Containers[0].TTY = true, true
		}))
	b.world.await(t, "default", "deaf", "done", patience, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodSucceeded })
	for _, name := range []string{"open", "once"} {
		b.isReady(name)
		b.write(name, "hello\n")
	}
	b.world.await(t, "default", "once", "done", patience, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodSucceeded })
	b.isReady("tty")
	for name, want := range map[string]string{"open": "got hello\n", "once": "hello\n", "tty": "/dev/console\nterminal\n"} {
		got := ""
		as := func() bool { // Linux names the terminal after its number
			return got == want || name == "tty" && strings.HasSuffix(got, "\nterminal\n") && strings.HasPrefix(got, "/dev/")
		}
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if got = strings.ReplaceAll(b.log1(name, LogOptions{Tail: -1}), "\r", ""); as() || time.Now().After(end) {
				break
			}
		}
		if !as() {
			t.Errorf("%s printed %q, want %q", name, got, want)
		}
	}
	if s := b.isReady("open"); main0(s).RestartCount != 0 {
		t.Errorf("a container whose input stays open ended: %v", main0(s))
	}
}

// write attaches to a Pod's container and writes to its standard input; it stays attached to the end of the test.
func (b *bed) write(name, text string) {
	b.t.Helper()
	_, id, err := b.r.runningContainer(b.t.Context(), "default", name, "")
	if err != nil {
		b.t.Fatal(err)
	}
	dir := b.cfg.pod("default", name, b.world.World().Get(manifest.PodRef("default", name)).UID).run
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := shim.New(dir).Attach(ctx, id, shim.Streams{Stdin: strings.NewReader(text), Stdout: io.Discard, Stderr: io.Discard}); err != nil && ctx.Err() == nil {
			b.t.Errorf("attach to %s: %v", name, err)
		}
	}()
	b.t.Cleanup(func() { cancel(); <-done })
}
