package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// patience is how long a registry may take.
type patience struct {
	silence   time.Duration // without a byte of a layer
	documents time.Duration // for manifest and configuration together
}

func defaultPatience() patience {
	return patience{silence: 90 * time.Second, documents: 2 * time.Minute}
}

var (
	errPlainHTTP = errors.New("plain http is spoken to loopback registries only")
	errSilent    = fmt.Errorf("%w: it stopped sending", ErrUnavailable)
)

// registryClient holds the connections to registries. Encrypted and plain ones never mix.
type registryClient struct {
	secure, plain http.RoundTripper
}

// newRegistryClient trusts whom the roots trust, nil for the system's own.
func newRegistryClient(roots *x509.CertPool) *registryClient {
	base := &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   4,
	}
	return &registryClient{secure: &guard{base: base}, plain: &guard{base: base, loopback: true}}
}

// guard refuses plain HTTP, wherever a redirect or a token address leads. Only a
// registry that is itself on loopback may use it, and only there.
type guard struct {
	base     http.RoundTripper
	loopback bool
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !(g.loopback && isLoopback(r.URL.Host)) {
		return nil, fmt.Errorf("%w: %s", errPlainHTTP, r.URL.Host)
	}
	return g.base.RoundTrip(r)
}

// puller speaks to the registry of r with one credential. Trying again later is the
// caller's: a node with many pods must not hammer a registry in trouble.
func (c *registryClient) puller(r ref, auth authn.Authenticator) (*remote.Puller, error) {
	t := c.secure
	if isLoopback(r.domain) {
		t = c.plain
	}
	return remote.NewPuller(remote.WithTransport(t), remote.WithAuth(auth), remote.WithUserAgent("writ"),
		remote.WithRetryStatusCodes(), remote.WithRetryBackoff(remote.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 2}))
}

// watched cancels the pull when a reader has had nothing for too long.
type watched struct {
	io.ReadCloser
	silence time.Duration
	timer   *time.Timer
}

func watch(rc io.ReadCloser, silence time.Duration, cancel context.CancelCauseFunc) *watched {
	return &watched{ReadCloser: rc, silence: silence, timer: time.AfterFunc(silence, func() { cancel(errSilent) })}
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.silence)
	n, err := w.ReadCloser.Read(p)
	if err != nil {
		w.timer.Stop()
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}

func isNetwork(err error) bool {
	// Not net.Error: every errno of the file system is one too.
	var ue *url.Error
	var oe *net.OpError
	return errors.As(err, &ue) || errors.As(err, &oe)
}
