package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"writ/disk"
)

const (
	caKeyFile      = "ca.key"
	caFile         = "ca.crt"
	configFile     = "config.key"
	accountKeyFile = "sa.key"
	// caYears is how long the certificate of the authority is good for.
	caYears = 20
)

// Keys are the keys of a cluster.
type Keys struct {
	// CA is the certificate of the authority, CAPEM the same for others, CAKey its key.
	CA    *x509.Certificate
	CAPEM []byte
	CAKey *ecdsa.PrivateKey
	// Account signs the tokens of ServiceAccounts.
	Account *ecdsa.PrivateKey
	// Config is the key of digests of configuration that may be seen by who must not see the configuration: 32 bytes.
	Config []byte
}

// Open reads the keys of a folder and makes those that are missing.
func Open(dir string) (*Keys, error) {
	k, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	return k, nil
}

func open(dir string) (*Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, err
	}
	var k Keys
	var err error
	if k.Account, err = key(filepath.Join(dir, accountKeyFile)); err != nil {
		return nil, err
	}
	if k.Config, err = secret(filepath.Join(dir, configFile)); err != nil {
		return nil, err
	}
	if k.CAKey, err = key(filepath.Join(dir, caKeyFile)); err != nil {
		return nil, err
	}
	if k.CAPEM, err = authority(filepath.Join(dir, caFile), k.CAKey); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(k.CAPEM)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", filepath.Join(dir, caFile))
	}
	if k.CA, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, caFile), err)
	}
	if !k.CAKey.PublicKey.Equal(k.CA.PublicKey) {
		return nil, fmt.Errorf("%s is not of the key beside it", filepath.Join(dir, caFile))
	}
	return &k, nil
}

// key reads a private key, or makes it.
func key(path string) (*ecdsa.PrivateKey, error) {
	data, err := private(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newKey(path)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	k, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || k.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s holds a key of another kind than ECDSA P-256", path)
	}
	return k, nil
}

func newKey(path string) (*ecdsa.PrivateKey, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, err
	}
	return k, disk.Replace(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// authority reads the certificate of the authority, or makes it.
func authority(path string, key *ecdsa.PrivateKey) ([]byte, error) {
	data, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "kubernetes"}, DNSNames: []string{"kubernetes"},
		NotBefore: now.Add(-5 * time.Minute), NotAfter: now.AddDate(caYears, 0, 0), // clocks differ a little
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	data = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return data, disk.Replace(path, data)
}
