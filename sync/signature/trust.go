package signature

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// Files are the node's own configuration of whom it trusts. At least one is set.
type Files struct {
	// Keyring holds PGP public keys, armored or as `gpg --export` writes them.
	Keyring string
	// AllowedSigners holds SSH keys in the format of ssh-keygen(1), ALLOWED SIGNERS.
	AllowedSigners string
}

// Set tells whether signatures are wanted at all.
func (f Files) Set() bool { return f.Keyring != "" || f.AllowedSigners != "" }

// Trust is a set of keys. It is immutable and safe for concurrent use.
type Trust struct {
	pgp    openpgp.EntityList
	ssh    []allowed
	scopes []scope
}

// Signer is who signed a commit.
type Signer struct {
	// Key is "SHA256:..." of an SSH key as ssh-keygen -l shows it, or a PGP key's fingerprint, that of
	// the main key, in hexadecimal.
	Key string
	// Name is the principal or user ID that the trusted key stands for, not what the commit claims.
	Name string
	// Scopes are the paths that the key is trusted for; nil for a key that the node trusts.
	Scopes []Scope
}

// Load reads whom the node trusts. A file without any key is an error: it would refuse everything.
func Load(f Files) (*Trust, error) {
	t := &Trust{}
	if f.Keyring != "" {
		data, err := os.ReadFile(f.Keyring)
		if err == nil {
			t.pgp, err = readKeyring(data)
		}
		if err != nil {
			return nil, fmt.Errorf("read keyring of trusted signers: %w", err)
		}
	}
	if f.AllowedSigners != "" {
		data, err := os.ReadFile(f.AllowedSigners)
		if err == nil {
			t.ssh, err = readAllowed(string(data))
		}
		if err != nil {
			return nil, fmt.Errorf("read file of allowed signers: %w", err)
		}
	}
	if len(t.pgp)+len(t.ssh) == 0 {
		return nil, errors.New("read trusted signers: there is no key")
	}
	return t, nil
}

// WithScopes adds keys that are trusted for some paths only. A key that the node trusts stays trusted
// for everything.
func (t *Trust) WithScopes(scopes []Scope) (*Trust, error) {
	more := &Trust{pgp: t.pgp, ssh: t.ssh}
	for i, s := range scopes {
		parsed, err := parseScope(s)
		if err != nil {
			return nil, fmt.Errorf("signers[%d]: %w", i, err)
		}
		more.scopes = append(more.scopes, parsed)
	}
	return more, nil
}

// Verify finds who signed a commit object. committed is the time that the commit claims, at which an SSH
// key must be valid, as in git; a PGP key must be valid now. Errors name the key and read on after "the
// commit is refused: ".
func (t *Trust) Verify(commit []byte, committed, now time.Time) (Signer, error) {
	payload, armor, err := Split(commit)
	if err != nil {
		return Signer{}, err
	}
	switch {
	case strings.HasPrefix(armor, sshBegin):
		return t.verifySSH(payload, armor, committed)
	case strings.HasPrefix(armor, "-----BEGIN PGP "):
		return t.verifyPGP(payload, armor, now)
	}
	return Signer{}, errors.New("its signature is neither of PGP nor of SSH")
}
