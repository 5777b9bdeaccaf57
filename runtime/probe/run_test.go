package probe

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func address(t *testing.T, server *httptest.Server) (host string, port intstr.IntOrString) {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return u.Hostname(), intstr.FromInt(n)
}

func TestOnce_HTTP(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			if r.Header.Get("X-Test") != "yes" || r.Host != "named.example" || !strings.HasPrefix(r.UserAgent(), "kube-probe/") {
				w.WriteHeader(http.StatusTeapot)
			}
		case "/fail":
			w.WriteHeader(http.StatusInternalServerError)
		case "/here":
			http.Redirect(w, r, "/fail", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "http://other.example/", http.StatusFound)
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	for _, tt := range []struct {
		path   string
		server *httptest.Server
		scheme corev1.URIScheme
		ok     bool
		text   string
	}{
		{"/ok", plain, "HTTP", true, ""}, {"ok", plain, "", true, ""}, {"/ok", secure, "HTTPS", true, ""},
		{"/fail", plain, "HTTP", false, "HTTP probe failed with statuscode: 500"},
		{"/here", plain, "HTTP", false, "HTTP probe failed with statuscode: 500"}, {"/away", plain, "HTTP", true, ""},
	} {
		host, port := address(t, tt.server)
		got := Once(t.Context(), &corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: tt.path, Port: port, Scheme: tt.scheme,
			HTTPHeaders: []corev1.HTTPHeader{{Name: "X-Test", Value: "yes"}, {Name: "Host", Value: "named.example"}}}}, &Target{IP: host, Container: &corev1.Container{}})
		if got.OK != tt.ok || tt.text != "" && got.Message != tt.text {
			t.Errorf("%s %s: %+v, want %v %q", tt.scheme, tt.path, got, tt.ok, tt.text)
		}
	}
}

func TestOnce_TCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := int32(l.Addr().(*net.TCPAddr).Port)
	c := &corev1.Container{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: port}}}
	h := &corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("web")}}
	if got := Once(t.Context(), h, &Target{IP: "127.0.0.1", Container: c}); !got.OK {
		t.Errorf("open port: %+v", got)
	}
	l.Close()
	if got := Once(t.Context(), h, &Target{IP: "127.0.0.1", Container: c}); got.OK || !got.Refused {
		t.Errorf("closed port: %+v, want refused", got)
	}
	if got := Once(t.Context(), h, &Target{IP: "127.0.0.1", Container: &corev1.Container{}}); got.OK || got.Err == nil || got.Err.Error() != `strconv.Atoi: parsing "web": invalid syntax` {
		t.Errorf("unknown port name: %+v", got)
	}
}

// history runs a probe whose answers are given ('+' or '-') and tells what was
// reported, each with its second.
func history(t *testing.T, kind Kind, p corev1.Probe, verdict bool, answers string) string {
	t.Helper()
	var out []string
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begun, i := time.Now(), 0
		p.ProbeHandler = corev1.ProbeHandler{Exec: &corev1.ExecAction{}}
		target := &Target{Container: &corev1.Container{}, Exec: func(context.Context, []string) (int, []byte, error) {
			if i >= len(answers) {
				cancel()
				return 0, nil, nil
			}
			i++
			return map[byte]int{'+': 0, '-': 1}[answers[i-1]], nil, nil
		}}
		Run(ctx, kind, &p, target, begun, verdict, func(r Report) {
			text := "-"
			if r.Verdict {
				text = "+"
			}
			if r.Changed {
				text += "!"
			}
			out = append(out, strconv.Itoa(int(time.Since(begun).Seconds()))+text)
		})
	})
	return strings.Join(out, " ")
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name    string
		kind    Kind
		p       corev1.Probe
		answers string
		want    string
	}{
		{"ready at once", Readiness, corev1.Probe{PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3}, "+++", "0+!"},
		{"initial delay", Readiness, corev1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 10}, "+", "5+!"},
		{"unready after three", Readiness, corev1.Probe{PeriodSeconds: 10, FailureThreshold: 3}, "+---+", "0+! 10+ 20+ 30-! 40+!"},
		{"success threshold", Readiness, corev1.Probe{PeriodSeconds: 1, SuccessThreshold: 2}, "+-++", "1- 3+!"},
		{"a success in between", Liveness, corev1.Probe{PeriodSeconds: 1, FailureThreshold: 2}, "-+-+", "0+ 2+"},
		{"liveness ends with its failure", Liveness, corev1.Probe{PeriodSeconds: 1, FailureThreshold: 2}, "+--+++", "1+ 2-!"},
		{"startup ends with its success", Startup, corev1.Probe{PeriodSeconds: 1, FailureThreshold: 5}, "--+---", "0- 1- 2+!"},
		{"startup fails", Startup, corev1.Probe{PeriodSeconds: 1, FailureThreshold: 2}, "--+", "0- 1-!"},
	} {
		if got := history(t, tt.kind, tt.p, tt.kind == Liveness, tt.answers); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestRun_Confirms: what was ready before this daemon is told to be so once, without a change.
func TestRun_Confirms(t *testing.T) {
	p := corev1.Probe{PeriodSeconds: 1, FailureThreshold: 2}
	for answers, want := range map[string]string{"+++": "0+", "-++": "0+", "+--+": "0+ 1+ 2-! 3+!", "--+": "0+ 1-! 2+!"} {
		if got := history(t, Readiness, p, true, answers); got != want {
			t.Errorf("answers %s: %q, want %q", answers, got, want)
		}
	}
}
