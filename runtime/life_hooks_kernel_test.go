//go:build kernel

package runtime

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// traced gives every container of a Pod /trace, a folder of the test's, and returns the folder.
func (b *bed) traced(p *corev1.Pod) string {
	b.t.Helper()
	dir := filepath.Join(b.dir, "trace-"+p.Name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		b.t.Fatal(err)
	}
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "trace", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}}})
	for c := range containers(&p.Spec) {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "trace", MountPath: "/trace"})
	}
	return dir
}

// trace is what containers wrote to /trace/log, in one line.
func (b *bed) trace(name string) string {
	data, _ := os.ReadFile(filepath.Join(b.dir, "trace-"+name, "log"))
	return strings.Join(strings.Fields(string(data)), " ")
}

// awaitTrace waits until the trace is as wanted.
func (b *bed) awaitTrace(name, want string) {
	b.t.Helper()
	for end := time.Now().Add(patience); b.trace(name) != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("trace of %s is %q, want %q", name, b.trace(name), want)
		}
	}
}

// awaitEvent waits until an event was told whose message holds a text.
func (b *bed) awaitEvent(reason, text string) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		b.mu.Lock()
		for _, e := range b.events {
			if e.Reason == reason && strings.Contains(e.Message, text) {
				b.mu.Unlock()
				return
			}
		}
		b.mu.Unlock()
		if time.Now().After(end) {
			b.t.Fatalf("no event %s with %q", reason, text)
		}
	}
}

func execHook(script string) *corev1.LifecycleHandler {
	return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", script}}}
}

// loop is a program that notes a signal and ends.
func loop(signal string) []string {
	return []string{"sh", "-c", "trap 'echo " + strings.ToLower(signal) + " >>/trace/log; exit 0' " + signal + "; while true; do sleep 0.02; done"}
}

func main0(s *corev1.PodStatus) *corev1.ContainerStatus {
	if len(s.ContainerStatuses) == 0 {
		return &corev1.ContainerStatus{}
	}
	return &s.ContainerStatuses[0]
}

func TestLife_HooksInOrder(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	signal := corev1.SIGUSR1
	b.world.adopt(t, b.cfg.Node, "c1", pod("hooked", busyboxImage, func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "second", Image: busyboxImage, Command: []string{"sh", "-c", "trap exit TERM; echo second >>/trace/log; sleep 1000 & wait"}})
		c := &p.Spec.Containers[0]
		c.Command = loop("USR1")
		c.Lifecycle = &corev1.Lifecycle{StopSignal: &signal, PostStart: execHook("sleep 0.3; echo post >>/trace/log"), PreStop: execHook("echo pre >>/trace/log")}
		b.traced(p)
	}), pod("napping", busyboxImage, func(p *corev1.Pod) {
		command("sh", "-c", "trap exit TERM; sleep 1000 & wait")(p)
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 1}}, PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 1}}}
	}))
	s := b.world.await(t, "default", "napping", "waiting for its postStart", patience, func(s *corev1.PodStatus) bool { return main0(s).ContainerID != "" })
	if c := main0(s); c.State.Waiting == nil || c.State.Waiting.Reason != "ContainerCreating" || s.Phase != corev1.PodPending {
		t.Errorf("while postStart sleeps the pod is %s with %v, want Pending and ContainerCreating", s.Phase, c.State)
	}
	b.isReady("hooked")
	b.isReady("napping")
	begun := time.Now()
	b.world.end(t, "default", "napping", 20)
	b.world.end(t, "default", "hooked", 20)
	b.world.await(t, "default", "hooked", "gone", patience, gone)
	b.world.await(t, "default", "napping", "gone", patience, gone)
	if took := time.Since(begun); took < 3*time.Second { // routes 2 s, preStop 1 s
		t.Errorf("napping was gone after %v, before its preStop had slept", took)
	}
	if got := b.trace("hooked"); got != "post second pre usr1" {
		t.Errorf("order is %q, want post second pre usr1", got)
	}
}

func TestLife_HooksThatFail(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	tcp := &corev1.LifecycleHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(1)}}
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("bad", busyboxImage, func(p *corev1.Pod) {
			command(loop("TERM")...)(p)
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: execHook("echo secret; exit 3")}
			b.traced(p)
		}),
		pod("tcp", busyboxImage, func(p *corev1.Pod) {
			command(loop("TERM")...)(p)
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: tcp}
			b.traced(p)
		}),
		pod("tcpstop", busyboxImage, func(p *corev1.Pod) {
			command(loop("TERM")...)(p)
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: tcp}
			b.traced(p)
		}))
	s := b.world.await(t, "default", "bad", "in back-off", patience, func(s *corev1.PodStatus) bool {
		return main0(s).State.Waiting != nil && main0(s).State.Waiting.Reason == "PostStartHookError" && main0(s).RestartCount == 1
	})
	want := `Exec lifecycle hook ([sh -c echo secret; exit 3]) for Container "main" in Pod "bad_default(`
	if got := main0(s).State.Waiting.Message; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "failed - error: command 'sh -c echo secret; exit 3' exited with 3: secret\n, message: \"secret\\n\"") {
		t.Errorf("message is %q", got)
	}
	b.world.await(t, "default", "bad", "in back-off", patience, func(s *corev1.PodStatus) bool {
		return main0(s).State.Waiting != nil && main0(s).State.Waiting.Reason == "CrashLoopBackOff"
	})
	b.awaitEvent("FailedPostStartHook", "PostStartHook failed")
	b.awaitEvent("Killing", "FailedPostStartHook")
	b.world.await(t, "default", "tcp", "ended", patience, func(s *corev1.PodStatus) bool { return main0(s).State.Terminated != nil })
	b.isReady("tcpstop")
	b.world.end(t, "default", "tcpstop", 5)
	b.awaitEvent("FailedPreStopHook", "PreStopHook failed")
	b.world.await(t, "default", "tcpstop", "gone", patience, gone)
	if got := b.trace("tcpstop"); got != "term" {
		t.Errorf("after a preStop that failed the program saw %q, want its signal", got)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if strings.Contains(e.Message, "secret") {
			t.Errorf("event %s shows what a hook printed: %s", e.Reason, e.Message)
		}
	}
}

// A preStop that takes longer than the grace period goes on for the two seconds more that there are for the
// signal; a program that does not listen is killed.
func TestLife_OverrunningEnd(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.world.adopt(t, b.cfg.Node, "c1",
		pod("slow", busyboxImage, func(p *corev1.Pod) {
			command("sh", "-c", "trap 'echo term >>/trace/log' TERM; while true; do sleep 0.02; done")(p)
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: execHook("echo pre >>/trace/log; sleep 3; echo still >>/trace/log; sleep 100")}
			b.traced(p)
		}),
		pod("deaf", busyboxImage, func(p *corev1.Pod) { command("sleep", "1000")(p) }))
	b.isReady("slow")
	b.isReady("deaf")
	begun := time.Now()
	const grace = 4 // 2 s of them are for the routes
	b.world.end(t, "default", "slow", grace)
	b.world.end(t, "default", "deaf", grace)
	s := b.world.await(t, "default", "deaf", "gone", patience, gone)
	if took := time.Since(begun); took < grace*time.Second-50*time.Millisecond {
		t.Errorf("a program that does not listen was gone after %v, before its %d s", took, grace)
	}
	if got := main0(s).State.Terminated; got == nil || got.ExitCode != 137 || got.Reason != "Error" {
		t.Errorf("a program that does not listen ended as %v, want 137", got)
	}
	b.world.await(t, "default", "slow", "gone", patience, gone)
	if took := time.Since(begun); took < (grace+2)*time.Second-50*time.Millisecond {
		t.Errorf("gone after %v, want %d s and two more for the signal", took, grace)
	}
	if got := b.trace("slow"); got != "pre term still" {
		t.Errorf("order is %q, want preStop, the signal at the deadline, and preStop until SIGKILL", got)
	}
	b.awaitEvent("FailedPreStopHook", "PreStopHook failed")
}

func TestLife_HTTPHooks(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.Path + " " + r.Header.Get("X-Pod") + " " + r.UserAgent()
		w.WriteHeader(http.StatusInternalServerError) // any answer will do
	}))
	t.Cleanup(server.Close)
	host, port := hostPort(t, server.Listener.Addr())
	hook := func(path string, scheme corev1.URIScheme) *corev1.LifecycleHandler {
		return &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Host: host, Port: port, Path: path, Scheme: scheme, HTTPHeaders: []corev1.HTTPHeader{{Name: "X-Pod", Value: "web"}}}}
	}
	b.world.adopt(t, b.cfg.Node, "c1", pod("web", busyboxImage, func(p *corev1.Pod) {
		command(loop("TERM")...)(p)
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: hook("/up", corev1.URISchemeHTTP), PreStop: hook("/down", corev1.URISchemeHTTPS)}
		b.traced(p)
	}))
	b.isReady("web")
	b.world.end(t, "default", "web", 20)
	b.world.await(t, "default", "web", "gone", patience, gone)
	if got, want := <-asked, "GET /up web kube-lifecycle/1.36"; got != want {
		t.Errorf("postStart asked %q, want %q", got, want)
	}
	if got, want := <-asked, "GET /down web kube-lifecycle/1.36"; got != want {
		t.Errorf("preStop asked %q, want %q", got, want)
	}
	b.awaitEvent("LifecycleHTTPFallback", "got HTTP response, retry with HTTP succeeded")
	if b.saw("FailedPreStopHook") || b.saw("FailedPostStartHook") {
		t.Error("a hook that was answered with 500 failed; a kubelet takes any answer")
	}
}

func hostPort(t *testing.T, a net.Addr) (string, intstr.IntOrString) {
	t.Helper()
	host, text, err := net.SplitHostPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return host, intstr.FromInt(n)
}
