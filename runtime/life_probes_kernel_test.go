//go:build kernel

package runtime

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// idle is a program that ends at once when it is told to.
func idle(p *corev1.Pod) { command("sh", "-c", "trap exit TERM; sleep 1000 & wait")(p) }

// A Pod on the node's network has the address 127.0.0.1 here, where the test itself answers.
func TestLife_GRPCProbe(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, checks := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(server, checks)
	checks.SetServingStatus("app", healthpb.HealthCheckResponse_NOT_SERVING)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	_, port := hostPort(t, listener.Addr())
	service := "app"
	b.world.adopt(t, b.cfg.Node, "c1", pod("rpc", busyboxImage, func(p *corev1.Pod) {
		idle(p)
		p.Spec.HostNetwork = true
		p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: port.IntVal, Service: &service}}, PeriodSeconds: 1, FailureThreshold: 1}
	}))
	b.awaitEvent("Unhealthy", `Readiness probe failed: service unhealthy (responded with "NOT_SERVING")`)
	checks.SetServingStatus("app", healthpb.HealthCheckResponse_SERVING)
	b.isReady("rpc")
	checks.SetServingStatus("app", healthpb.HealthCheckResponse_NOT_SERVING)
	b.world.await(t, "default", "rpc", "unready", patience, func(s *corev1.PodStatus) bool { return !ready(s) })
}

func TestLife_HTTPProbeIsWarned(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
	}))
	t.Cleanup(server.Close)
	_, port := hostPort(t, server.Listener.Addr())
	b.world.adopt(t, b.cfg.Node, "c1", pod("web", busyboxImage, func(p *corev1.Pod) {
		idle(p)
		p.Spec.HostNetwork = true
		p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: port}}, PeriodSeconds: 1}
	}), pod("wrong", busyboxImage, func(p *corev1.Pod) {
		idle(p)
		p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/no/such/command"}}}, PeriodSeconds: 1}
	}), pod("stuck", busyboxImage, func(p *corev1.Pod) {
		idle(p)
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "TIME", Value: "100"}}
		p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"sleep", "$(TIME)"}}}, TimeoutSeconds: 1, PeriodSeconds: 1}
	}))
	b.isReady("web")
	b.awaitEvent("ProbeWarning", "Readiness probe warning: Probe terminated redirects, Response body: ")
	b.awaitEvent("Unhealthy", "Readiness probe errored and resulted in unknown state: ")
	b.awaitEvent("Unhealthy", `Readiness probe failed: command timed out: "sleep 100" timed out after 1s`)
	if s := b.world.status("default", "wrong"); ready(s) {
		t.Error("a pod is ready whose probe cannot be run")
	}
}

// A probe with a grace period of its own: the container that does not listen is killed after that one.
func TestLife_GraceOfAProbe(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	own, long := int64(2), int64(600)
	sick := func(p *corev1.Pod) *corev1.Probe {
		command("sleep", "1000")(p)
		p.Spec.TerminationGracePeriodSeconds = &long
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"false"}}}, PeriodSeconds: 1, FailureThreshold: 1, TerminationGracePeriodSeconds: &own}
	}
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("live", busyboxImage, func(p *corev1.Pod) { p.Spec.Containers[0].LivenessProbe = sick(p) }),
		pod("up", busyboxImage, func(p *corev1.Pod) {
			p.Spec.Containers[0].StartupProbe = sick(p)
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
		}))
	s := b.world.await(t, "default", "live", "restarted", patience, func(s *corev1.PodStatus) bool { return main0(s).RestartCount > 0 })
	if last := main0(s).LastTerminationState.Terminated; last == nil || last.ExitCode != 137 {
		t.Errorf("last state is %v, want 137", last)
	}
	b.awaitEvent("Killing", "Container main failed liveness probe, will be restarted")
	b.world.end(t, "default", "live", 0)
	s = b.world.await(t, "default", "up", "failed", patience, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodFailed })
	if c := main0(s); c.RestartCount != 0 || c.State.Terminated == nil || c.Started == nil || *c.Started {
		t.Errorf("a container that never started up is %v", c)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.ContainsFunc(b.events, func(e state.Event) bool {
		return e.Reason == "Killing" && e.Message == "Container main failed startup probe" && e.Field == "spec.containers{main}" && e.Ref.Name == "up"
	}) {
		t.Error("no event Killing of the container that is not restarted")
	}
}

func TestLife_ReadinessGate(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1", pod("gated", busyboxImage, func(p *corev1.Pod) {
		idle(p)
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/balanced"}}
	}))
	s := b.world.await(t, "default", "gated", "ready but for its gate", patience, func(s *corev1.PodStatus) bool { return state.PodIs(s, corev1.ContainersReady) })
	c := state.PodCondition(s, corev1.PodReady)
	if c.Status != corev1.ConditionFalse || c.Reason != "ReadinessGatesNotReady" ||
		c.Message != `corresponding condition of pod readiness gate "example.com/balanced" does not exist.` {
		t.Errorf("condition is %v", c)
	}
}

// A deadline is counted from the Pod's start, also by a daemon that came later.
func TestLife_DeadlineOverARestart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	limit := int64(4)
	b.world.adopt(t, b.cfg.Node, "c1", pod("late", busyboxImage, func(p *corev1.Pod) {
		p.Spec.ActiveDeadlineSeconds = &limit
		command("sleep", "1000")(p)
	}))
	s := b.isReady("late")
	started := s.StartTime.Time
	b.restart()
	s = b.world.await(t, "default", "late", "ended", patience, func(s *corev1.PodStatus) bool { return state.PodCondition(s, corev1.PodReady).Reason == "PodFailed" })
	if took := time.Since(started); took < time.Duration(limit)*time.Second || took > 10*time.Second {
		t.Errorf("ended after %v, want %d s from its start", took, limit)
	}
	if s.Phase == corev1.PodFailed {
		t.Error("it failed while its container still runs")
	}
	s = b.world.await(t, "default", "late", "failed", patience, func(s *corev1.PodStatus) bool { return s.Phase == corev1.PodFailed })
	if s.Reason != "DeadlineExceeded" || s.Message != "Pod was active on the node longer than the specified deadline" || !s.StartTime.Equal(&metav1.Time{Time: started}) {
		t.Errorf("status is %s %q, started %v", s.Reason, s.Message, s.StartTime)
	}
	rec := b.world.World().Get(manifest.PodRef("default", "late"))
	if rec.Deletion != nil {
		t.Error("the pod was deleted")
	}
}
