package image

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// patience is how long a registry may take.
type patience struct {
	silence   time.Duration // without progress of a layer's download, before it is resumed
	pause     time.Duration // before the first resumption; doubles without progress
	documents time.Duration // for manifest and configuration together
}

func defaultPatience() patience {
	return patience{silence: 30 * time.Second, pause: 250 * time.Millisecond, documents: 2 * time.Minute}
}

var (
	errPlainHTTP = errors.New("plain http is spoken to loopback registries only, and to those that --registry-insecure names")
	errSilent    = fmt.Errorf("%w: it stopped sending", ErrUnavailable)
)

// atOnce is how many layers are fetched from one registry at once.
const atOnce = 6

// registryClient holds the connections to registries. Encrypted and plain ones never mix.
type registryClient struct {
	base     http.RoundTripper
	patience *patience
	mirrors  []mirror
	insecure map[string]bool // host[:port] that may be spoken to in plain HTTP
	node     *nodeKeys
	slots    slots
}

// newTransport trusts whom the roots trust, nil for the system's own.
func newTransport(roots *x509.CertPool) http.RoundTripper {
	return &http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConnsPerHost:    4,
	}
}

// guard refuses plain HTTP, wherever a redirect or a token address leads. Only a registry that may use it
// itself may, and only to where it may: a loopback registry to loopback, an insecure one to itself.
type guard struct {
	base  http.RoundTripper
	plain func(host string) bool
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !g.plain(r.URL.Host) {
		return nil, fmt.Errorf("%w: %s", errPlainHTTP, r.URL.Host)
	}
	resp, err := g.base.RoundTrip(r)
	if err == nil {
		noteRetryAfter(r.Context(), resp)
	}
	return resp, err
}

// plain says where a registry may be spoken to in plain HTTP, and so may what it refers to.
func (c *registryClient) plain(domain string) func(host string) bool {
	return func(host string) bool {
		return isLoopback(domain) && isLoopback(host) || c.insecure[domain] && host == domain
	}
}

// isPlain says that a registry may be spoken to in plain HTTP.
func (c *registryClient) isPlain(domain string) bool { return isLoopback(domain) || c.insecure[domain] }

// puller speaks to the registry of r with one credential. Trying again later is the
// caller's: a node with many pods must not hammer a registry in trouble.
func (c *registryClient) puller(r ref, auth authn.Authenticator) (*remote.Puller, error) {
	t := &resuming{base: &guard{base: c.base, plain: c.plain(r.domain)}, patience: *c.patience}
	t.renew = func(ctx context.Context) (string, error) { return c.token(ctx, r, auth, t) }
	return remote.NewPuller(remote.WithTransport(t), remote.WithAuth(auth), remote.WithUserAgent("writ"), remote.WithJobs(parallel),
		remote.WithRetryStatusCodes(), remote.WithRetryBackoff(remote.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 2}))
}

// token asks for one that opens r.
func (c *registryClient) token(ctx context.Context, r ref, auth authn.Authenticator, t http.RoundTripper) (string, error) {
	full, err := c.name(r.domain, r.full)
	if err != nil {
		return "", err
	}
	repository := full.Context()
	challenge, err := transport.Ping(ctx, repository.Registry, t)
	if err != nil {
		return "", err
	}
	token, err := transport.Exchange(ctx, repository.Registry, auth, t, []string{repository.Scope(transport.PullScope)}, challenge)
	if err != nil {
		return "", err
	}
	return cmp.Or(token.Token, token.AccessToken), nil
}

// credentials are those of the pod's secrets that fit, and then the node's own. trouble is what was wrong
// with the latter.
func (c *registryClient) credentials(ctx context.Context, r ref, access Access) (creds []credential, trouble, err error) {
	creds, err = access.credentials(r)
	if err != nil {
		return nil, nil, err
	}
	own, trouble := c.node.credentials(ctx, r)
	return append(creds, own...), trouble, nil
}

func isNetwork(err error) bool {
	// Not net.Error: every errno of the file system is one too.
	var ue *url.Error
	var oe *net.OpError
	return errors.As(err, &ue) || errors.As(err, &oe)
}
