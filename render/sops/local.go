package sops

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	agearmor "filippo.io/age/armor"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// maxDataKey bounds what a key opens: a data key has 32 bytes, a part of one a few more.
const maxDataKey = 4 << 10

// age reads identities: lines as age-keygen writes them, or an SSH private key without a passphrase.
func (e *entry) age(folder string, from keyEntry) error {
	text, err := either(folder, from.Age, from.AgeFile, "age")
	if err != nil {
		return err
	}
	var names []string
	if strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN") {
		identity, err := agessh.ParseIdentity([]byte(text))
		if err != nil {
			return errors.New("holds an SSH key that age cannot use: ed25519 or RSA without a passphrase is expected")
		}
		e.identities, names = []age.Identity{identity}, []string{"an SSH key"}
	} else if e.identities, err = age.ParseIdentities(strings.NewReader(text)); err != nil {
		return errors.New("holds no age identities: lines that begin with AGE-SECRET-KEY-1 are expected")
	}
	for _, identity := range e.identities {
		switch i := identity.(type) {
		case *age.X25519Identity:
			names = append(names, i.Recipient().String())
		case *age.HybridIdentity:
			names = append(names, shorten(i.Recipient().String()))
		}
	}
	e.name = "age key " + strings.Join(names, ", ")
	return nil
}

// openAge opens a data key, nil if none of the entry's identities fits.
func (e *entry) openAge(ciphertext []byte) []byte {
	if len(e.identities) == 0 {
		return nil
	}
	r, err := age.Decrypt(agearmor.NewReader(bytes.NewReader(ciphertext)), e.identities...)
	if err != nil {
		return nil
	}
	key, err := io.ReadAll(io.LimitReader(r, maxDataKey))
	if err != nil {
		return nil
	}
	return key
}

// armored reads PGP private keys and takes their passphrase off.
func (e *entry) armored(folder string, from keyEntry) error {
	text, err := either(folder, from.PGP, from.PGPFile, "pgp")
	if err != nil {
		return err
	}
	passphrase, err := either(folder, from.Passphrase, from.PassphraseFile, "passphrase")
	if err != nil {
		return err
	}
	if e.pgp, err = openpgp.ReadArmoredKeyRing(strings.NewReader(text)); err != nil {
		return errors.New("holds no armored PGP private key")
	}
	var names []string
	for _, entity := range e.pgp {
		if entity.PrivateKey == nil {
			return errors.New("holds a PGP public key; the private one is needed")
		}
		if err := entity.DecryptPrivateKeys([]byte(passphrase)); err != nil {
			return errors.New("the passphrase does not open the PGP key")
		}
		names = append(names, fmt.Sprintf("%X", entity.PrimaryKey.Fingerprint))
	}
	e.name = "PGP key " + strings.Join(names, ", ")
	return nil
}

// openPGP opens a data key, nil if none of the entry's keys fits.
func (e *entry) openPGP(ciphertext []byte) []byte {
	if len(e.pgp) == 0 {
		return nil
	}
	block, err := armor.Decode(bytes.NewReader(ciphertext))
	if err != nil {
		return nil
	}
	message, err := openpgp.ReadMessage(block.Body, e.pgp, nil, nil)
	if err != nil {
		return nil
	}
	key, err := io.ReadAll(io.LimitReader(message.UnverifiedBody, maxDataKey))
	if err != nil {
		return nil
	}
	return key
}

// shorten cuts what a document or a server says to what fits into a message.
func shorten(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > 200 {
		return strings.ToValidUTF8(text[:200], "") + "..."
	}
	return text
}
