package manifest

import (
	"fmt"
	"path"
)

// Signer trusts keys for commits that change only what a path matches: an entry of spec.signers. It
// adds to whom the node trusts, for everything.
type Signer struct {
	// Path is a pattern of paths below the followed folder, or with a leading slash of the repository:
	// * and ? within a name, ** for any number of folders, everything below where it ends in a slash.
	Path string `json:"path"`
	// Keys are SSH public keys or armored PGP public keys.
	Keys []string `json:"keys"`
	// AllowPrivileged lets what is written there ask for privileges on the node.
	AllowPrivileged bool `json:"allowPrivileged,omitempty"`
}

// Signing knows keys and patterns of spec.signers.
type Signing interface {
	// Check finds what is wrong with an entry.
	Check(s Signer) error
	// Covers tells whether an entry is about a path of the repository; folder is the followed one.
	Covers(s Signer, folder, path string) bool
}

// signers checks spec.signers.
func (l *loader) signers(settings *Cluster) {
	for i, s := range settings.Spec.Signers {
		field := fmt.Sprintf("spec.signers[%d]", i)
		what := ""
		if l.Signing == nil {
			what = "cannot be checked here"
		} else if err := l.Signing.Check(s); err != nil {
			what = err.Error()
		}
		if what != "" {
			l.mistake(path.Join(l.Folder, settingsFile), l.settingsLine(field+".path"), "%s: %s", field, what)
		}
	}
}
