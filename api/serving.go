package api

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Serving is the certificate that the server shows. It is made in memory, for a year, and anew when half of that is over.
type Serving struct {
	ca    *x509.Certificate
	key   crypto.Signer
	names []string
	ips   []net.IP
	now   func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	renew   time.Time
}

// servingTime is how long the certificate holds.
const servingTime = 365 * 24 * time.Hour

// NewServing signs with the authority's key for names and addresses.
func NewServing(ca *x509.Certificate, key crypto.Signer, names []string, ips []net.IP) *Serving {
	return &Serving{ca: ca, key: key, names: names, ips: ips, now: time.Now}
}

// Add makes the certificate hold for one more address.
func (s *Serving) Add(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ip := net.IP(a.AsSlice())
	if !slices.ContainsFunc(s.ips, ip.Equal) {
		s.ips, s.current = append(s.ips, ip), nil
	}
}

func (s *Serving) config() *tls.Config {
	clients := x509.NewCertPool()
	clients.AddCert(s.ca)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequestClientCert, ClientCAs: clients, // what is shown is checked by who authenticates
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate() },
	}
}

func (s *Serving) certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.current != nil && now.Before(s.renew) {
		return s.current, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := Sign(s.ca, s.key, &x509.Certificate{
		Subject: pkix.Name{CommonName: "kube-apiserver"}, DNSNames: s.names, IPAddresses: s.ips,
		NotBefore: now.Add(-backdated), NotAfter: now.Add(servingTime), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key.Public())
	if err != nil {
		return nil, err
	}
	s.current, s.renew = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, now.Add(servingTime/2)
	return s.current, nil
}

// backdated is what a clock may be behind.
const backdated = 5 * time.Minute

// Sign makes a certificate of the authority, in DER.
func Sign(ca *x509.Certificate, by crypto.Signer, of *x509.Certificate, key crypto.PublicKey) ([]byte, error) {
	const serialBits = 127
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, err
	}
	of.SerialNumber, of.KeyUsage, of.BasicConstraintsValid = serial, x509.KeyUsageDigitalSignature, true
	der, err := x509.CreateCertificate(rand.Reader, of, ca, key, by)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return der, nil
}
