package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// mirror is asked before a registry, for what that has.
type mirror struct {
	of     string // the registry, "*" for every one
	domain string // host[:port] of the mirror
	prefix string // put before the repository's path, without slashes at its ends; often empty
}

// parseMirror reads REGISTRY=ADDRESS: docker.io=https://mirror.example:5000/dockerhub.
func parseMirror(text string) (mirror, error) {
	of, address, ok := strings.Cut(text, "=")
	if !ok || of == "" || address == "" {
		return mirror{}, fmt.Errorf("mirror %q: want REGISTRY=ADDRESS, as in docker.io=mirror.example:5000", text)
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		rest = address
	} else if scheme != "https" && scheme != "http" {
		return mirror{}, fmt.Errorf("mirror %q: its address begins with %s://, want https://", text, scheme)
	}
	domain, prefix, _ := strings.Cut(strings.TrimRight(rest, "/"), "/")
	m := mirror{of: canonicalDomain(of), domain: domain, prefix: strings.Trim(prefix, "/")}
	if of != "*" {
		if _, err := reference.ParseNamed(m.of + "/x/y"); err != nil {
			return mirror{}, fmt.Errorf("mirror %q: %q is not a registry: %w", text, of, err)
		}
	}
	if _, err := reference.ParseNamed(m.repository("x/y")); err != nil {
		return mirror{}, fmt.Errorf("mirror %q: %q is not the address of a registry: %w", text, address, err)
	}
	if scheme == "http" && !isLoopback(domain) {
		return mirror{}, fmt.Errorf("mirror %q: plain http is for loopback; write the address without http:// and name %s in --registry-insecure if it has to be", text, domain)
	}
	return m, nil
}

// canonicalDomain is what references are written with in full.
func canonicalDomain(s string) string {
	if s == "index.docker.io" || s == "registry-1.docker.io" {
		return "docker.io"
	}
	return s
}

func (m *mirror) repository(path string) string {
	if m.prefix == "" {
		return m.domain + "/" + path
	}
	return m.domain + "/" + m.prefix + "/" + path
}

// sources are where a reference is looked for, its own registry last.
func (c *registryClient) sources(r ref) []ref {
	var out []ref
	for i := range c.mirrors {
		m := &c.mirrors[i]
		if m.of != r.domain && m.of != "*" || m.domain == r.domain && m.prefix == "" {
			continue
		}
		repository := m.repository(strings.TrimPrefix(r.repository, r.domain+"/"))
		out = append(out, ref{
			full: repository + strings.TrimPrefix(r.full, r.repository), repository: repository, domain: m.domain, digest: r.digest,
		})
	}
	return append(out, r)
}

// tryAll asks each source until one has what is wanted. What went wrong with mirrors is told beside what went
// wrong with the registry itself, which decides what kind of error it is.
func (c *registryClient) tryAll(r ref, try func(source ref) error) error {
	var passed []string
	for _, src := range c.sources(r) {
		err := try(src)
		switch {
		case err == nil || src.repository == r.repository:
			return besides(err, passed)
		case errors.Is(err, ErrStorage) || errors.Is(err, context.Canceled):
			return err // another source will not help
		}
		passed = append(passed, fmt.Sprintf("mirror %s: %v", src.domain, err))
	}
	return nil // not reached: the registry itself is the last
}

func besides(err error, passed []string) error {
	if err == nil || len(passed) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(passed, "; "))
}

// checkHosts wants host[:port] of registries.
func checkHosts(hosts []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, h := range hosts {
		if _, err := reference.ParseNamed(canonicalDomain(h) + "/x/y"); err != nil || strings.ContainsAny(h, "/") {
			return nil, fmt.Errorf("insecure registry %q: want host or host:port", h)
		}
		out[canonicalDomain(h)] = true
	}
	return out, nil
}
