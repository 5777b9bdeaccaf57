package image

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// credential is what one entry of a pull secret, or of the node's own configuration, grants, and where.
type credential struct {
	pattern string // host[:port][/path], the host may hold * for a part
	config  authn.AuthConfig
	// node says that it is the node's own: what it opens is open to every pod here.
	node bool
}

// proof is what it shows that a registry takes this credential.
func (c *credential) proof(namespace string) proof {
	if c.node {
		return proof{Anonymous: true}
	}
	return proof{Namespaces: []string{namespace}}
}

// credentials of all secrets that fit the repository, the closest first, in the order of kubelet's
// keyring. The error is ErrUnauthorized: a secret that cannot be read would otherwise look like a
// registry that refuses.
func (a Access) credentials(r ref) ([]credential, error) {
	var all []credential
	for _, s := range a.Secrets {
		entries, err := parseSecret(s.Data)
		if err != nil {
			return nil, fmt.Errorf("read pull secret %s/%s: %w: %w", a.Namespace, s.Name, ErrUnauthorized, err)
		}
		all = append(all, entries...)
	}
	return fitting(all, r), nil
}

// fitting picks what fits a repository, each once.
func fitting(all []credential, r ref) []credential {
	var fit []credential
	for _, c := range all {
		known := func(o credential) bool { return o.config == c.config }
		if c.fits(r) && !slices.ContainsFunc(fit, known) {
			fit = append(fit, c)
		}
	}
	slices.SortStableFunc(fit, func(a, b credential) int { return cmp.Compare(b.pattern, a.pattern) })
	return fit
}

func parseSecret(data []byte) ([]credential, error) {
	var doc struct {
		Auths map[string]dockerAuth `json:"auths"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, hideContent(err)
	}
	entries := doc.Auths
	if entries == nil { // the older form has no enclosing field
		if err := json.Unmarshal(data, &entries); err != nil {
			return nil, hideContent(err)
		}
	}
	out := make([]credential, 0, len(entries))
	for host, a := range entries {
		c, err := a.config()
		if err != nil {
			return nil, fmt.Errorf("entry %q: %w", host, err)
		}
		out = append(out, credential{pattern: cleanHost(host), config: c})
	}
	slices.SortFunc(out, func(a, b credential) int { return cmp.Compare(a.pattern, b.pattern) })
	return out, nil
}

// hideContent keeps a decoder from quoting a password in its message.
func hideContent(error) error { return fmt.Errorf("it is no Docker configuration in JSON") }

type dockerAuth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func (d dockerAuth) config() (authn.AuthConfig, error) {
	c := authn.AuthConfig{Username: d.Username, Password: d.Password, IdentityToken: d.IdentityToken, RegistryToken: d.RegistryToken}
	if d.Auth == "" {
		return c, nil
	}
	raw, err := base64.StdEncoding.DecodeString(d.Auth)
	if err != nil {
		raw, err = base64.RawStdEncoding.DecodeString(d.Auth)
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok {
		return c, fmt.Errorf("auth is not the base64 of user:password")
	}
	c.Username, c.Password = user, strings.TrimRight(password, "\x00")
	return c, nil
}

// cleanHost takes the scheme and the API version off: Docker writes
// "https://index.docker.io/v1/" for its own registry.
func cleanHost(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	host, path, _ := strings.Cut(s, "/")
	for _, version := range []string{"v1", "v2"} {
		if rest, ok := strings.CutPrefix(path, version); ok && (rest == "" || rest[0] == '/') {
			path = strings.TrimPrefix(rest, "/")
			break
		}
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	if path = strings.TrimSuffix(path, "/"); path == "" {
		return host
	}
	return host + "/" + path
}

// fits compares as Kubernetes does: each part of the host by pattern, the port
// exactly, the path as a prefix.
func (c credential) fits(r ref) bool {
	want, err := url.Parse("//" + c.pattern)
	if err != nil {
		return false
	}
	have, err := url.Parse("//" + r.repository)
	if err != nil || want.Port() != have.Port() || !strings.HasPrefix(have.Path, want.Path) {
		return false
	}
	wants, haves := strings.Split(want.Hostname(), "."), strings.Split(have.Hostname(), ".")
	if len(wants) != len(haves) {
		return false
	}
	for i := range wants {
		if ok, err := path.Match(wants[i], haves[i]); !ok || err != nil {
			return false
		}
	}
	return true
}
