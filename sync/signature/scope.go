package signature

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"golang.org/x/crypto/ssh"
)

// Scope trusts keys for some paths only: an entry of spec.signers.
type Scope struct {
	// Path is a pattern: * and ? within a name, ** for any number of folders. One that ends in a slash
	// means everything below. It begins at the followed folder; with a leading slash, at the root of the
	// repository.
	Path string
	// Keys are SSH public keys (`ssh-ed25519 AAAA... comment`) or armored PGP public keys.
	Keys []string
	// AllowPrivileged lets what is written under Path ask for privileges on the node. It is for whoever
	// reads manifests; here it is only handed on.
	AllowPrivileged bool
}

// Match tells whether a path, from the root of the repository, is in the scope. folder is the followed
// folder, "." for the root.
func (s Scope) Match(folder, name string) bool {
	pattern, fromRoot := strings.CutPrefix(s.Path, "/")
	pattern, below := strings.CutSuffix(pattern, "/")
	if !fromRoot {
		pattern = path.Join(literal(folder), pattern)
	}
	if below {
		pattern += "/**"
	}
	return match(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

// literal makes a pattern that matches only the name itself.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}

func match(pattern, name []string) bool {
	for len(pattern) > 0 && pattern[0] != "**" {
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], name[0]); !ok || err != nil {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	if len(pattern) == 0 {
		return len(name) == 0
	}
	for i := range len(name) {
		if match(pattern[1:], name[i:]) {
			return true
		}
	}
	return len(pattern) == 1 && len(name) > 0
}

// Validate says what is wrong with the scope, for whoever reads writ.yaml.
func (s Scope) Validate() error {
	_, err := parseScope(s)
	return err
}

// scope is a Scope with its keys.
type scope struct {
	Scope
	ssh []scopedKey
	pgp openpgp.EntityList
}

type scopedKey struct {
	key     ssh.PublicKey
	comment string
}

const maxDoubleStars = 3 // each multiplies the ways to match

// ValidPath says what is wrong with the pattern.
func (s Scope) ValidPath() error {
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(s.Path, "/"), "/"), "/")
	stars := 0
	for _, p := range parts {
		if _, err := path.Match(p, ""); err != nil || p == "" || p == "." || p == ".." {
			return fmt.Errorf("path %q is no pattern of a path", s.Path)
		}
		if p == "**" {
			stars++
		} else if strings.Contains(p, "**") {
			return fmt.Errorf("path %q: ** stands for folders and must be alone between slashes", s.Path)
		}
	}
	if stars > maxDoubleStars {
		return fmt.Errorf("path %q: at most %d ** are allowed", s.Path, maxDoubleStars)
	}
	return nil
}

func parseScope(s Scope) (scope, error) {
	parsed := scope{Scope: s}
	if err := s.ValidPath(); err != nil {
		return parsed, err
	}
	if len(s.Keys) == 0 {
		return parsed, fmt.Errorf("path %q has no keys", s.Path)
	}
	for i, text := range s.Keys {
		if err := parsed.add(strings.TrimSpace(text)); err != nil {
			return parsed, fmt.Errorf("path %q: keys[%d]: %w", s.Path, i, err)
		}
	}
	return parsed, nil
}

func (s *scope) add(text string) error {
	if strings.HasPrefix(text, "-----BEGIN PGP ") {
		list, err := readKeyring([]byte(text))
		s.pgp = append(s.pgp, list...)
		return err
	}
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	switch {
	case err != nil:
		return errors.New("is neither an SSH public key nor an armored PGP public key")
	case len(options) > 0 || len(rest) > 0:
		return errors.New("is more than one SSH public key")
	case strings.Contains(key.Type(), "-cert-"):
		return errors.New("is a certificate, not a key")
	}
	if comment == "" {
		comment = "no name"
	}
	if !slices.ContainsFunc(s.ssh, func(k scopedKey) bool { return same(k.key, key) }) {
		s.ssh = append(s.ssh, scopedKey{key, comment})
	}
	return nil
}
