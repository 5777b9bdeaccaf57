package fetch

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
	"os"
	"strings"
	"time"

	"writ/manifest"
	"writ/render"
)

// remote asks servers for charts.
type remote struct{ client *http.Client }

func newRemote(caFile string) (remote, error) {
	trusted := &tls.Config{}
	if caFile != "" {
		data, err := os.ReadFile(caFile)
		if err != nil {
			return remote{}, fmt.Errorf("certificates to trust: %w", err)
		}
		if trusted.RootCAs, err = x509.SystemCertPool(); err != nil {
			return remote{}, fmt.Errorf("certificates to trust: %w", err)
		}
		if !trusted.RootCAs.AppendCertsFromPEM(data) {
			return remote{}, fmt.Errorf("certificates to trust: %s holds none", caFile)
		}
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:       trusted,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 20 * time.Second,
		ForceAttemptHTTP2:     true,
		IdleConnTimeout:       10 * time.Second, // nothing is held between commits
	}
	return remote{&http.Client{Transport: guard{transport}, CheckRedirect: redirect}}, nil
}

// guard lets nothing pass in clear text but to this machine itself.
type guard struct{ http.RoundTripper }

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || !manifest.IsLoopback(r.URL.Hostname())) {
		return nil, fmt.Errorf("%w: %s is not an https address; http is for loopback addresses only", render.ErrRefused, r.URL.Redacted())
	}
	return g.RoundTripper.RoundTrip(r)
}

// redirect refuses to be sent from elsewhere to this machine's own services.
func redirect(r *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("redirected more than 5 times")
	}
	if manifest.IsLoopback(r.URL.Hostname()) && !manifest.IsLoopback(via[0].URL.Hostname()) {
		return fmt.Errorf("%w: %s redirects to %s, an address of this machine", render.ErrRefused, via[0].URL.Redacted(), r.URL.Redacted())
	}
	return nil
}

// away lets a server elsewhere not send the daemon to this machine's own services: by a redirect, an
// address in an index, or where a registry has its tokens made.
type away struct{ http.RoundTripper }

func (a away) RoundTrip(r *http.Request) (*http.Response, error) {
	if manifest.IsLoopback(r.URL.Hostname()) {
		return nil, fmt.Errorf("%w: its server leads to %s, an address of this machine", render.ErrRefused, r.URL.Redacted())
	}
	return a.RoundTripper.RoundTrip(r)
}

// forRepository is what may be asked for a chart of a repository.
func (r remote) forRepository(address string) remote {
	if u, err := url.Parse(address); err == nil && manifest.IsLoopback(u.Hostname()) {
		return r
	}
	return remote{&http.Client{Transport: away{r.client.Transport}, CheckRedirect: r.client.CheckRedirect}}
}

// get fetches a chart's archive.
func (r remote) get(ctx context.Context, c manifest.Chart) ([]byte, error) {
	r = r.forRepository(c.Repository)
	var data []byte
	var err error
	if name, found := strings.CutPrefix(c.Repository, "oci://"); found {
		data, err = r.fromRegistry(ctx, c, name)
	} else {
		data, err = r.fromIndex(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", title(c), err)
	}
	return data, nil
}

// fromIndex fetches a chart that index.yaml of a repository lists.
func (r remote) fromIndex(ctx context.Context, c manifest.Chart) ([]byte, error) {
	base, err := url.Parse(strings.TrimSuffix(c.Repository, "/") + "/")
	if err != nil {
		return nil, fmt.Errorf("%w: %v", render.ErrRefused, err)
	}
	index, err := r.read(ctx, base.JoinPath("index.yaml"), maxIndex)
	if err != nil {
		return nil, err
	}
	e, err := find(index, c.Chart, c.Version)
	if err != nil {
		return nil, err
	}
	if len(e.URLs) == 0 {
		return nil, fmt.Errorf("%w: index.yaml has no address of it", render.ErrRefused)
	}
	at, err := base.Parse(e.URLs[0])
	if err != nil {
		return nil, fmt.Errorf("%w: index.yaml: %v", render.ErrRefused, err)
	}
	data, err := r.read(ctx, at, maxArchive)
	if err != nil {
		return nil, err
	}
	if want := strings.TrimPrefix(e.Digest, "sha256:"); want != "" && "sha256:"+want != digestOf(data) {
		return nil, fmt.Errorf("%w: index.yaml says that it has the digest sha256:%s, and it has %s", render.ErrRefused, want, digestOf(data))
	}
	return data, nil
}

// read gets what is at an address, of bounded size.
func (r remote) read(ctx context.Context, at *url.URL, limit int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", render.ErrRefused, err)
	}
	request.Header.Set("User-Agent", "writ")
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, refusal(answer.StatusCode, fmt.Sprintf("%s answers %s", at.Redacted(), answer.Status))
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: %s is larger than %d MiB", render.ErrRefused, at.Redacted(), limit>>20)
	}
	return data, nil
}

// refusal is the error for a status: those that a server means for good do not go away by waiting.
func refusal(status int, text string) error {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %s; charts are fetched without a password", render.ErrRefused, text)
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: %s", render.ErrRefused, text)
	}
	return errors.New(text)
}
