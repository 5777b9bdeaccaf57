package metrics

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// server is how a server of metrics is spoken to.
type server struct {
	secret         *corev1.Secret // that the rest was made of; nil for none
	client         *http.Client
	token          string
	name, password string // empty for none
}

// authorize says who asks. It is the server's address alone that learns it: redirects are not followed.
func (s *server) authorize(r *http.Request) {
	switch {
	case s.token != "":
		r.Header.Set("Authorization", "Bearer "+s.token)
	case s.name != "":
		r.SetBasicAuth(s.name, s.password)
	}
}

// server is the one that the settings name. What is made of a Secret is kept as long as that stays the same.
func (c *Collector) server(w *state.World, p *manifest.Prometheus) (*server, error) {
	ref, ok := p.Credentials()
	if !ok {
		return &server{client: c.client}, nil
	}
	r := w.Get(ref)
	if r == nil {
		return nil, fmt.Errorf("%s of the server of metrics is not there", ref)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	secret := r.Object.(*corev1.Secret)
	if c.known != nil && c.known.secret == secret {
		return c.known, nil
	}
	made, err := c.made(secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	if c.known != nil {
		c.known.client.CloseIdleConnections()
	}
	c.known = made
	return made, nil
}

// made is a server of what a Secret holds. No error repeats any of it.
func (c *Collector) made(secret *corev1.Secret) (*server, error) {
	value := func(key string) string { return strings.TrimRight(string(secret.Data[key]), "\r\n") }
	s := &server{secret: secret, client: c.client, token: value(corev1.ServiceAccountTokenKey), name: value(corev1.BasicAuthUsernameKey), password: value(corev1.BasicAuthPasswordKey)}
	authorities := secret.Data[corev1.ServiceAccountRootCAKey]
	if len(authorities) == 0 {
		return s, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return nil, errors.New("ca.crt holds no certificate")
	}
	base, ok := c.client.Transport.(*http.Transport)
	if !ok {
		return nil, errors.New("ca.crt cannot be used with this transport")
	}
	own := base.Clone()
	own.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	client := *c.client
	client.Transport = own
	s.client = &client
	return s, nil
}
