package signature

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// Detect tells keyrings and files of allowed signers apart by what is in them. At most one of each kind
// is possible. What is in them is checked too, so that a mistake shows before a commit comes.
func Detect(files []string) (Files, error) {
	var f Files
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return Files{}, fmt.Errorf("read trusted signers: %w", err)
		}
		place, kind := &f.AllowedSigners, "allowed signers"
		if keyring(data) {
			place, kind = &f.Keyring, "PGP keys"
		}
		if *place != "" {
			return Files{}, fmt.Errorf("read trusted signers: %s and %s both hold %s; put them into one file", *place, name, kind)
		}
		*place = name
	}
	if !f.Set() {
		return Files{}, errors.New("read trusted signers: no file is given")
	}
	if _, err := Load(f); err != nil {
		return Files{}, err
	}
	return f, nil
}

// keyring tells whether a file is armored PGP or begins with the tag of a packet (RFC 9580, 4.2), whose
// first bit is set as in no text.
func keyring(data []byte) bool {
	return bytes.Contains(data, []byte("-----BEGIN PGP ")) || len(data) > 0 && data[0]&0x80 != 0
}
