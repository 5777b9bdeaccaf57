package signature

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	sshBegin     = "-----BEGIN SSH SIGNATURE-----"
	sshEnd       = "-----END SSH SIGNATURE-----"
	sshMagic     = "SSHSIG"
	gitNamespace = "git"
	minRSA       = 2048 // bits
)

// sshBlob is a signature as in OpenSSH's PROTOCOL.sshsig, after the magic.
type sshBlob struct {
	Version   uint32
	Key       string
	Namespace string
	Reserved  string
	Hash      string
	Signature string
}

// sshSigned is what the key signs, after the magic.
type sshSigned struct {
	Namespace string
	Reserved  string
	Hash      string
	Digest    string
}

var errMalformedSSH = errors.New("its SSH signature is malformed")

func parseSSH(armor string) (blob sshBlob, key ssh.PublicKey, sig *ssh.Signature, err error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(armor), sshBegin)
	text, ended := strings.CutSuffix(text, sshEnd)
	raw, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\n", "", "\r", "").Replace(strings.TrimSpace(text)))
	if !ok || !ended || err != nil || !strings.HasPrefix(string(raw), sshMagic) {
		return blob, nil, nil, errMalformedSSH
	}
	if err := ssh.Unmarshal(raw[len(sshMagic):], &blob); err != nil || blob.Version != 1 {
		return blob, nil, nil, errMalformedSSH
	}
	if key, err = ssh.ParsePublicKey([]byte(blob.Key)); err != nil {
		return blob, nil, nil, errMalformedSSH
	}
	sig = &ssh.Signature{}
	if err := ssh.Unmarshal([]byte(blob.Signature), sig); err != nil {
		return blob, nil, nil, errMalformedSSH
	}
	return blob, key, sig, nil
}

func (t *Trust) verifySSH(payload []byte, armor string, committed time.Time) (Signer, error) {
	blob, key, sig, err := parseSSH(armor)
	if err != nil {
		return Signer{}, err
	}
	s := Signer{Key: ssh.FingerprintSHA256(plain(key))}
	if s.Name, s.Scopes, err = t.whoseSSH(key, committed); err != nil {
		return Signer{}, err
	}
	if blob.Namespace != gitNamespace {
		return Signer{}, fmt.Errorf("SSH key %s (%s) signed it for %q, not for git", s.Key, s.Name, blob.Namespace)
	}
	if err := strong(key, sig); err != nil {
		return Signer{}, fmt.Errorf("SSH key %s (%s): %w", s.Key, s.Name, err)
	}
	digest, err := digestOf(blob.Hash, payload)
	if err != nil {
		return Signer{}, err
	}
	signed := append([]byte(sshMagic), ssh.Marshal(sshSigned{blob.Namespace, blob.Reserved, blob.Hash, digest})...)
	if err := key.Verify(signed, sig); err != nil {
		return Signer{}, fmt.Errorf("it is not what SSH key %s (%s) signed", s.Key, s.Name)
	}
	return s, nil
}

// plain is the key itself, without what an authority certifies of it.
func plain(key ssh.PublicKey) ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return cert.Key
	}
	return key
}

// strong refuses what can be forged.
func strong(key ssh.PublicKey, sig *ssh.Signature) error {
	if sig.Format == ssh.KeyAlgoRSA {
		return errors.New("signatures with SHA-1 are not accepted")
	}
	crypto, ok := plain(key).(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	if k, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); ok && k.N.BitLen() < minRSA {
		return fmt.Errorf("an RSA key of %d bits is not accepted, it needs %d", k.N.BitLen(), minRSA)
	}
	return nil
}

func digestOf(hash string, payload []byte) (string, error) {
	switch hash {
	case "sha256":
		sum := sha256.Sum256(payload)
		return string(sum[:]), nil
	case "sha512":
		sum := sha512.Sum512(payload)
		return string(sum[:]), nil
	}
	return "", errMalformedSSH
}

// whoseSSH finds the trusted key that a signature's key is. committed is when it must be valid.
func (t *Trust) whoseSSH(key ssh.PublicKey, committed time.Time) (string, []Scope, error) {
	var refused error
	for _, a := range t.ssh {
		if !a.concerns(key) {
			continue
		}
		name, err := a.accepts(key, committed)
		if err == nil {
			return name, nil, nil
		}
		refused = err
	}
	if refused != nil {
		return "", nil, fmt.Errorf("it is signed by SSH key %s, which %w", ssh.FingerprintSHA256(plain(key)), refused)
	}
	var name string
	var scopes []Scope
	for _, s := range t.scopes {
		for _, k := range s.ssh {
			if same(k.key, key) {
				name, scopes = k.comment, append(scopes, s.Scope)
			}
		}
	}
	if scopes == nil {
		return "", nil, fmt.Errorf("it is signed by SSH key %s, which is not trusted", ssh.FingerprintSHA256(plain(key)))
	}
	return name, scopes, nil
}
