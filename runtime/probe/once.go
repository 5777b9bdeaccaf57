package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// Target is a running container.
type Target struct {
	// IP is the Pod's address, or the node's for host network Pods.
	IP        string
	Container *corev1.Container
	// Exec runs a command in the container and returns its exit code with what it wrote.
	Exec func(ctx context.Context, args []string) (code int, output []byte, err error)
}

// Answer is the outcome of one probe.
type Answer struct {
	OK bool
	// Warned says that it is fine for a reason that people should know.
	Warned bool
	// Err: there was no probe (a port that does not exist, a command that cannot be run). It counts for nothing.
	Err error
	// Refused says that nothing listened: the process is not up yet, or gone.
	Refused bool
	Message string
}

const (
	userAgent    = "kube-probe/1.36"
	hookAgent    = "kube-lifecycle/1.36"
	maxBody      = 10 << 10
	maxRedirects = 10
)

// Once runs one probe; ctx carries its timeout.
func Once(ctx context.Context, h *corev1.ProbeHandler, t *Target) Answer {
	switch {
	case h.Exec != nil:
		return execOnce(ctx, h.Exec, t)
	case h.HTTPGet != nil:
		return httpOnce(ctx, h.HTTPGet, t)
	case h.TCPSocket != nil:
		return tcpOnce(ctx, h.TCPSocket, t)
	case h.GRPC != nil:
		return grpcOnce(ctx, h.GRPC, t)
	}
	return Answer{Err: errors.New("missing probe handler")}
}

// execOnce knows of the container's variables only those that are written out, as upstream.
func execOnce(ctx context.Context, h *corev1.ExecAction, t *Target) Answer {
	static := map[string]string{}
	for i := range t.Container.Env {
		static[t.Container.Env[i].Name] = t.Container.Env[i].Value
	}
	mapping := expansion.MappingFuncFor(static)
	command := make([]string, len(h.Command))
	for i, arg := range h.Command {
		command[i] = expansion.Expand(arg, mapping)
	}
	begun := time.Now()
	code, output, err := t.Exec(ctx, command)
	switch {
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		limit := time.Since(begun)
		if end, ok := ctx.Deadline(); ok {
			limit = end.Sub(begun)
		}
		return Answer{Message: fmt.Sprintf("command timed out: %q timed out after %v", strings.Join(command, " "), limit.Round(time.Second))}
	case err != nil:
		return Answer{Err: err}
	case code != 0:
		return Answer{Message: string(output)}
	}
	return Answer{OK: true, Message: string(output)}
}

func tcpOnce(ctx context.Context, h *corev1.TCPSocketAction, t *Target) Answer {
	port, err := portOf(h.Port, t.Container)
	if err != nil {
		return Answer{Err: err}
	}
	conn, err := dialer().DialContext(ctx, "tcp", net.JoinHostPort(hostOf(h.Host, t), strconv.Itoa(port)))
	if err != nil {
		return Answer{Message: err.Error(), Refused: errors.Is(err, syscall.ECONNREFUSED)}
	}
	conn.Close()
	return Answer{OK: true}
}

// requestError is why a request cannot be made.
type requestError struct{ error }

// get performs the request of a probe or hook.
func get(ctx context.Context, h *corev1.HTTPGetAction, t *Target, agent string) (status int, body string, err error) {
	u, err := urlOf(h, t)
	if err != nil {
		return 0, "", requestError{err}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, "", requestError{err}
	}
	setHeaders(request, h, agent)
	client := http.Client{Transport: transport(), CheckRedirect: sameHost}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil && len(data) == 0 {
		return response.StatusCode, "", err
	}
	return response.StatusCode, string(data), nil
}

// Hook performs the request of a lifecycle hook. Any answer counts as done. A server that speaks plain HTTP
// where HTTPS is asked for is asked again in HTTP; fallback is its address then.
func Hook(ctx context.Context, h *corev1.HTTPGetAction, t *Target) (fallback string, err error) {
	_, _, err = get(ctx, h, t, hookAgent)
	if err == nil || !strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return "", err
	}
	plain := h.DeepCopy()
	plain.Scheme = corev1.URISchemeHTTP
	plain.HTTPHeaders = slices.DeleteFunc(plain.HTTPHeaders, func(h corev1.HTTPHeader) bool {
		return http.CanonicalHeaderKey(h.Name) == "Authorization"
	})
	if _, _, again := get(ctx, plain, t, hookAgent); again != nil {
		return "", err
	}
	u, err := urlOf(plain, t)
	if err != nil {
		return "", err
	}
	return u.Host, nil
}

func httpOnce(ctx context.Context, h *corev1.HTTPGetAction, t *Target) Answer {
	status, body, err := get(ctx, h, t, userAgent)
	var impossible requestError
	switch {
	case errors.As(err, &impossible):
		return Answer{Err: err}
	case err != nil:
		return Answer{Message: err.Error(), Refused: errors.Is(err, syscall.ECONNREFUSED)}
	case status < 200 || status >= 400:
		return Answer{Message: fmt.Sprintf("HTTP probe failed with statuscode: %d", status)}
	case status >= 300: // to another host
		return Answer{OK: true, Warned: true, Message: "Probe terminated redirects, Response body: " + body}
	}
	return Answer{OK: true, Message: body}
}

func setHeaders(r *http.Request, h *corev1.HTTPGetAction, agent string) {
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "*/*")
	seen := map[string]bool{}
	for _, header := range h.HTTPHeaders {
		name := http.CanonicalHeaderKey(header.Name)
		switch {
		case name == "Host":
			r.Host = header.Value
		case header.Value == "" && (name == "User-Agent" || name == "Accept"):
			r.Header.Del(name)
		case !seen[name]:
			r.Header.Set(name, header.Value)
		default:
			r.Header.Add(name, header.Value)
		}
		seen[name] = true
	}
}

// sameHost follows redirects within the host; another host answers for itself,
// so the redirect counts as the answer.
func sameHost(r *http.Request, via []*http.Request) error {
	if r.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	return nil
}

func urlOf(h *corev1.HTTPGetAction, t *Target) (*url.URL, error) {
	port, err := portOf(h.Port, t.Container)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(h.Path)
	if err != nil { // upstream then takes it as a path, whatever it holds
		u = &url.URL{Path: h.Path}
	}
	u.Scheme = strings.ToLower(string(h.Scheme))
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	u.Host = net.JoinHostPort(hostOf(h.Host, t), strconv.Itoa(port))
	if !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path
	}
	return u, nil
}

func hostOf(host string, t *Target) string {
	if host != "" {
		return host
	}
	return t.IP
}

// portOf is the port of a number or a name of the container's own, in upstream's words.
func portOf(p intstr.IntOrString, c *corev1.Container) (int, error) {
	port := p.IntValue()
	if p.Type == intstr.String {
		i := slices.IndexFunc(c.Ports, func(cp corev1.ContainerPort) bool { return cp.Name == p.StrVal })
		if i >= 0 {
			port = int(c.Ports[i].ContainerPort)
		} else {
			var err error
			if port, err = strconv.Atoi(p.StrVal); err != nil {
				return 0, err
			}
		}
	}
	if port <= 0 || port > 65535 {
		return 0, fmt.Errorf("invalid port number: %v", port)
	}
	return port, nil
}

// dialer closes at once (no linger), so that probes leave no TIME_WAIT behind.
func dialer() *net.Dialer {
	return &net.Dialer{Timeout: time.Minute, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 1})
		})
		return errors.Join(cerr, err)
	}}
}

// transport is for one request; certificates are not verified, as in Kubernetes.
func transport() *http.Transport {
	return &http.Transport{
		DialContext:        dialer().DialContext,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives:  true,
		DisableCompression: true,
		Proxy:              nil,
	}
}
