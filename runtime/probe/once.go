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
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
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
	// Refused says that nothing listened: the process is not up yet, or gone.
	Refused bool
	Message string
}

const (
	userAgent    = "kube-probe/1.36"
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
	return Answer{Message: "missing probe handler"}
}

func execOnce(ctx context.Context, h *corev1.ExecAction, t *Target) Answer {
	code, output, err := t.Exec(ctx, h.Command)
	switch {
	case ctx.Err() != nil:
		return Answer{Message: "command timed out: " + strconv.Quote(strings.Join(h.Command, " ")) + " timed out"}
	case err != nil:
		return Answer{Message: err.Error()}
	case code != 0:
		return Answer{Message: string(output)}
	}
	return Answer{OK: true, Message: string(output)}
}

func tcpOnce(ctx context.Context, h *corev1.TCPSocketAction, t *Target) Answer {
	port, err := portOf(h.Port, t.Container)
	if err != nil {
		return Answer{Message: err.Error()}
	}
	conn, err := dialer().DialContext(ctx, "tcp", net.JoinHostPort(hostOf(h.Host, t), strconv.Itoa(port)))
	if err != nil {
		return Answer{Message: err.Error(), Refused: errors.Is(err, syscall.ECONNREFUSED)}
	}
	conn.Close()
	return Answer{OK: true}
}

// HTTPGet performs the request of a probe or hook and returns its status.
func HTTPGet(ctx context.Context, h *corev1.HTTPGetAction, t *Target) (status int, body string, err error) {
	u, err := urlOf(h, t)
	if err != nil {
		return 0, "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, "", err
	}
	setHeaders(request, h)
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

func httpOnce(ctx context.Context, h *corev1.HTTPGetAction, t *Target) Answer {
	status, body, err := HTTPGet(ctx, h, t)
	switch {
	case err != nil:
		return Answer{Message: err.Error(), Refused: errors.Is(err, syscall.ECONNREFUSED)}
	case status < 200 || status >= 400:
		return Answer{Message: fmt.Sprintf("HTTP probe failed with statuscode: %d", status)}
	}
	return Answer{OK: true, Message: body}
}

func setHeaders(r *http.Request, h *corev1.HTTPGetAction) {
	r.Header.Set("User-Agent", userAgent)
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

func portOf(p intstr.IntOrString, c *corev1.Container) (int, error) {
	port := p.IntValue()
	if p.Type == intstr.String {
		port = 0
		for _, cp := range c.Ports {
			if cp.Name == p.StrVal {
				port = int(cp.ContainerPort)
			}
		}
		if port == 0 {
			if n, err := strconv.Atoi(p.StrVal); err == nil {
				port = n
			}
		}
	}
	if port <= 0 || port > 65535 {
		return 0, fmt.Errorf("invalid port number: %s", p.String())
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
