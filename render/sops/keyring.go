package sops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"

	"writ/render/wire"
	"writ/sync/signature"
)

// keyring is the node's keys in the order of their file.
type keyring struct{ entries []*entry }

// entry is keys of one kind that are bound to the same places.
type entry struct {
	paths      []signature.Scope
	namespaces []string

	name       string // as it is told to people: a recipient, a fingerprint, an address
	identities []age.Identity
	pgp        openpgp.EntityList
	service    service // a key service, else nil
}

// service is a key that a server elsewhere holds.
type service interface {
	// is tells whether a document names this very key, with nothing added.
	is(named string) bool
	// decrypt asks for the data key. The error is errAway if asking again may help.
	decrypt(ctx context.Context, ciphertext []byte, details details) ([]byte, error)
}

// details is what a document says about a key beside its name.
type details struct {
	role    string
	context map[string]string
	version string
}

// errAway is wrapped by errors of a key service that does not answer.
var errAway = errors.New("does not answer")

// services tells whether opening may need the network.
func (k *keyring) services() bool {
	return slices.ContainsFunc(k.entries, func(e *entry) bool { return e.service != nil })
}

func (e keyEntry) entry(folder string) (*entry, error) {
	made := &entry{namespaces: e.Namespaces}
	for _, p := range e.Paths {
		s := signature.Scope{Path: p}
		if err := s.ValidPath(); err != nil {
			return nil, err
		}
		made.paths = append(made.paths, s)
	}
	if e.Paths != nil && len(e.Paths) == 0 || e.Namespaces != nil && len(e.Namespaces) == 0 {
		return nil, errors.New("paths or namespaces is an empty list: leave it out to allow all")
	}
	kinds := 0
	for _, has := range []bool{e.Age != "" || e.AgeFile != "", e.PGP != "" || e.PGPFile != "", e.Vault != nil, e.AWS != nil, e.GCP != nil, e.Azure != nil} {
		if has {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return nil, errors.New("must have one of age, ageFile, pgp, pgpFile, vault, aws, gcp or azure")
	case e.Age != "" || e.AgeFile != "":
		return made, made.age(folder, e)
	case e.PGP != "" || e.PGPFile != "":
		return made, made.armored(folder, e)
	case e.Vault != nil:
		return made, made.vault(folder, *e.Vault)
	case e.AWS != nil:
		return made, made.aws(folder, *e.AWS)
	case e.GCP != nil:
		return made, made.gcp(folder, *e.GCP)
	}
	return made, made.azure(folder, *e.Azure)
}

// bars says why the keys must not open a document, empty if they may. Both the file and what reads it
// have to be where the keys are bound to.
func (e *entry) bars(o wire.Open) string {
	if len(e.paths) == 0 {
		return ""
	}
	for _, name := range []string{o.Path, o.Reader} {
		if name != "" && !slices.ContainsFunc(e.paths, func(s signature.Scope) bool { return s.Match(".", name) }) {
			patterns := make([]string, len(e.paths))
			for i, s := range e.paths {
				patterns[i] = s.Path
			}
			why := fmt.Sprintf("is bound to %s", strings.Join(patterns, ", "))
			if name == o.Reader {
				why += ", and " + name + " reads it"
			}
			return why
		}
	}
	return ""
}

// use is where the clear text may be used, nil for everywhere.
func (e *entry) use() *wire.Use {
	if len(e.namespaces) == 0 {
		return nil
	}
	return &wire.Use{Key: e.name, Namespaces: e.namespaces}
}
