package signature

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

const pgpBegin = "-----BEGIN PGP PUBLIC KEY BLOCK-----"

// readKeyring reads public keys, any number of armored blocks or binary.
func readKeyring(data []byte) (openpgp.EntityList, error) {
	var all openpgp.EntityList
	if bytes.Contains(data, []byte("-----BEGIN PGP PRIVATE KEY")) {
		return nil, errors.New("it holds a private key; export the public one (gpg --export)")
	}
	blocks := bytes.Split(data, []byte(pgpBegin))
	if len(blocks) == 1 {
		list, err := openpgp.ReadKeyRing(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("no PGP keys as gpg --export writes them: %w", err)
		}
		all = list
	}
	for i, b := range blocks[1:] {
		list, err := openpgp.ReadArmoredKeyRing(io.MultiReader(strings.NewReader(pgpBegin), bytes.NewReader(b)))
		if err != nil {
			return nil, fmt.Errorf("key block %d: %w", i+1, err)
		}
		all = append(all, list...)
	}
	for _, e := range all {
		if e.PrivateKey != nil {
			return nil, errors.New("it holds a private key; export the public one (gpg --export)")
		}
	}
	return all, nil
}

func (t *Trust) verifyPGP(payload []byte, text string, now time.Time) (Signer, error) {
	block, err := armor.Decode(strings.NewReader(text))
	if err != nil {
		return Signer{}, errors.New("its PGP signature is malformed")
	}
	raw, err := io.ReadAll(block.Body)
	if err != nil {
		return Signer{}, errors.New("its PGP signature is malformed")
	}
	issuer := issuerOf(raw)
	s, err := checkPGP(t.pgp, payload, raw, now)
	if !errors.Is(err, pgperrors.ErrUnknownIssuer) {
		return s, err
	}
	var scopes []Scope
	for _, c := range t.scopes {
		found, err := checkPGP(c.pgp, payload, raw, now)
		if err == nil {
			s, scopes = found, append(scopes, c.Scope)
		} else if !errors.Is(err, pgperrors.ErrUnknownIssuer) {
			return Signer{}, err
		}
	}
	if scopes == nil {
		return Signer{}, fmt.Errorf("it is signed by PGP key %s, which is not trusted", issuer)
	}
	s.Scopes = scopes
	return s, nil
}

// checkPGP verifies against some keys. The error is ErrUnknownIssuer where none of them signed.
func checkPGP(keys openpgp.EntityList, payload, raw []byte, now time.Time) (Signer, error) {
	sig, who, err := openpgp.VerifyDetachedSignature(keys, bytes.NewReader(payload), bytes.NewReader(raw),
		&packet.Config{Time: func() time.Time { return now }})
	if errors.Is(err, pgperrors.ErrUnknownIssuer) {
		return Signer{}, err
	}
	s := Signer{Key: issuerOf(raw)}
	if who != nil {
		s = Signer{Key: fingerprint(who.PrimaryKey), Name: nameOf(who)}
	}
	switch {
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return Signer{}, fmt.Errorf("it is signed by PGP key %s (%s), which is revoked", s.Key, s.Name)
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return Signer{}, fmt.Errorf("it is signed by PGP key %s (%s), which has expired", s.Key, s.Name)
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return Signer{}, fmt.Errorf("its signature by PGP key %s (%s) has expired", s.Key, s.Name)
	case err != nil:
		return Signer{}, fmt.Errorf("it is not what PGP key %s signed: %w", s.Key, err)
	case sig.Hash == crypto.MD5 || sig.Hash == crypto.SHA1 || sig.Hash == crypto.RIPEMD160:
		return Signer{}, fmt.Errorf("its signature by PGP key %s (%s) uses %s, which is not accepted", s.Key, s.Name, sig.Hash)
	}
	return s, nil
}

func fingerprint(key *packet.PublicKey) string {
	return strings.ToUpper(hex.EncodeToString(key.Fingerprint))
}

func nameOf(e *openpgp.Entity) string {
	if id := e.PrimaryIdentity(); id != nil {
		return id.Name
	}
	return "no name"
}

// issuerOf is the key that a signature says it is by.
func issuerOf(raw []byte) string {
	p, err := packet.Read(bytes.NewReader(raw))
	sig, ok := p.(*packet.Signature)
	switch {
	case err != nil || !ok:
		return "of unknown name"
	case len(sig.IssuerFingerprint) > 0:
		return strings.ToUpper(hex.EncodeToString(sig.IssuerFingerprint))
	case sig.IssuerKeyId != nil:
		return fmt.Sprintf("%016X", *sig.IssuerKeyId)
	}
	return "of unknown name"
}
