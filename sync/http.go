package sync

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// maxList bounds what a server may send as its list of references or as an error page.
const maxList = 64 << 20

// dialHTTP makes a session with a client of its own: connections are not shared with the rest of
// the process, and go-git's global client is left alone.
func dialHTTP(cfg Config, src source, guard *silence) (session, error) {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.MaxIdleConns, tr.IdleConnTimeout = 2, 5*time.Second
	if cfg.CAFile != "" {
		pool, err := trust(cfg.CAFile)
		if err != nil {
			return nil, err
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	auth, err := httpLogin(cfg.Credentials, src)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &bounded{tr, guard, cfg.MaxPack}}
	s, err := githttp.NewClient(client).NewUploadPackSession(endpoint(src), auth)
	if err != nil {
		return nil, err
	}
	return &httpSession{s, tr}, nil
}

func endpoint(src source) *transport.Endpoint {
	ep := &transport.Endpoint{Protocol: src.url.Scheme, Host: src.url.Hostname(), Path: src.url.EscapedPath()}
	if strings.Contains(ep.Host, ":") {
		ep.Host = "[" + ep.Host + "]"
	}
	ep.Port, _ = strconv.Atoi(src.url.Port()) // url.Parse took digits only; none is 0, the default
	return ep
}

// httpLogin is nil without credentials; nothing is sent then. Files beat what the address holds.
func httpLogin(c Credentials, src source) (transport.AuthMethod, error) {
	if c.PasswordFile != "" {
		secret, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, &problem{Login, "read the password file", err}
		}
		name := c.Username
		if src.user.Username() != "" {
			name = src.user.Username()
		}
		return &githttp.BasicAuth{Username: name, Password: strings.TrimRight(string(secret), "\r\n")}, nil
	}
	if src.user != nil {
		password, _ := src.user.Password()
		return &githttp.BasicAuth{Username: src.user.Username(), Password: password}, nil
	}
	return nil, nil
}

func trust(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, &problem{Identity, "read the certificate file", err}
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &problem{Identity, "read the certificate file", errors.New("no certificate in " + file)}
	}
	return pool, nil
}

// httpSession gives its connections back when it ends.
type httpSession struct {
	transport.UploadPackSession
	tr *http.Transport
}

func (s *httpSession) Close() error {
	err := s.UploadPackSession.Close()
	s.tr.CloseIdleConnections()
	return err
}

// bounded limits how long a server is silent and how much it sends.
type bounded struct {
	next  http.RoundTripper
	guard *silence
	pack  int64
}

func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	b.guard.heard()
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 {
		resp.Body.Close()
		return nil, problemf(Unreachable, "%s answers %q", req.URL.Host, resp.Status)
	}
	limit := int64(maxList)
	if req.Method == http.MethodPost {
		limit = b.pack + b.pack/16 + maxList // the pack in its frames
	}
	body := &limitedReader{r: b.guard.reader(resp.Body), left: limit, limit: limit}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{body, resp.Body}
	return resp, nil
}
