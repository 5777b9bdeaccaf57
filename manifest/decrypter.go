package manifest

import "errors"

// Decrypter opens documents that are encrypted with SOPS. Its keys are bound to places, so that a
// ciphertext that was copied into somebody else's folder does not open.
type Decrypter interface {
	// Decrypt opens what was encrypted as one. An error that is ErrUnavailable says nothing about the
	// commit; any other one is what is wrong with the document, and names keys, never values.
	Decrypt(e Encrypted) (Clear, error)
	// KeysID changes when the keys or their bindings do.
	KeysID() string
}

// ErrUnavailable is the error, wrapped, of a Decrypter that cannot be asked now: a key service is away.
var ErrUnavailable = errors.New("the decryption keys cannot be used now")

// Encrypted is a file of the repository, or those of its documents that were encrypted together.
type Encrypted struct {
	Path   string // of the file
	Reader string // the kustomization that reads it; empty when it is a manifest or writ.yaml names it
	Format string // yaml, json, dotenv, ini or binary
	Data   []byte
}

// Clear is the clear text of an Encrypted, in the same format.
type Clear struct {
	Text    []byte
	Secrecy Secrecy
}

// Secrecy is what has to be known of a text that came out of encrypted files.
type Secrecy struct {
	Values  []string // what was encrypted; nobody may be told
	Uses    []Use    // one for each key that is bound to namespaces
	Unknown bool     // there were no keys: stand-ins take the place of values
}

// Use is where the clear text of a key may be used.
type Use struct {
	Key        string // as it is told to people: a recipient or fingerprint
	Namespaces []string
}

// Add takes up what came out of one more file.
func (s *Secrecy) Add(more Secrecy) {
	s.Values = append(s.Values, more.Values...)
	s.Uses = append(s.Uses, more.Uses...)
	s.Unknown = s.Unknown || more.Unknown
}
