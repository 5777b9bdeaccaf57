package image

import (
	"fmt"
	"net"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
)

// ref is a parsed reference. A digest beats a tag written beside it, as it does in
// Kubernetes.
type ref struct {
	full       string // docker.io/library/nginx:1.25, or ...@sha256:...
	repository string // docker.io/library/nginx
	domain     string // docker.io
	digest     string // sha256:..., empty for a tag
}

// parseRef reads a reference as Kubernetes does: the default registry, "library/" and ":latest" are
// filled in. The error is ErrInvalidName.
func parseRef(s string) (ref, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return ref{}, fmt.Errorf("read image reference %q: %w: %w", s, ErrInvalidName, err)
	}
	r := ref{repository: named.Name(), domain: reference.Domain(named)}
	if d, ok := named.(reference.Digested); ok {
		if d.Digest().Algorithm() != "sha256" {
			return ref{}, fmt.Errorf("read image reference %q: %w: digest is %s, want sha256", s, ErrInvalidName, d.Digest().Algorithm())
		}
		r.digest = d.Digest().String()
		r.full = r.repository + "@" + r.digest
		return r, nil
	}
	r.full = reference.TagNameOnly(named).String()
	return r, nil
}

// CheckName says what is wrong with a reference; the error is ErrInvalidName.
func CheckName(reference string) error {
	_, err := parseRef(reference)
	return err
}

// at is the same repository at a digest.
func (r ref) at(digest string) string { return r.repository + "@" + digest }

// name is a reference at a registry as the client wants it.
func (c *registryClient) name(domain, full string) (name.Reference, error) {
	var opts []name.Option
	if c.isPlain(domain) {
		opts = append(opts, name.Insecure)
	}
	out, err := name.ParseReference(full, opts...)
	if err != nil {
		return nil, fmt.Errorf("read image reference %q: %w: %w", full, ErrInvalidName, err)
	}
	return out, nil
}

// isLoopback looks at the text alone: a name that merely resolves to a loopback
// address does not count.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
