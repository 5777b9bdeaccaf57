package api

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// User is whom a client certificate is for.
type User struct {
	Name   string // empty: an administrator
	Groups []string
	TTL    time.Duration
	Now    time.Time
}

// Administrators are called so where nobody has a name.
const administrator = "admin"

// Bounds of how long a certificate may hold.
const (
	shortestTTL = time.Minute
	longestTTL  = 10 * 365 * 24 * time.Hour
)

func (u *User) check() error {
	if u.TTL < shortestTTL || u.TTL > longestTTL {
		return fmt.Errorf("a certificate holds from %v to %v, not %v", shortestTTL, longestTTL, u.TTL)
	}
	return nil
}

func (u *User) sign(ca *x509.Certificate, by crypto.Signer, key crypto.PublicKey) ([]byte, error) {
	der, err := Sign(ca, by, &x509.Certificate{
		Subject:   pkix.Name{CommonName: u.Name, Organization: u.Groups},
		NotBefore: u.Now.Add(-backdated), NotAfter: u.Now.Add(u.TTL), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

// Certificate is one for a request (PKCS #10), in PEM.
func (u User) Certificate(ca *x509.Certificate, by crypto.Signer, csr []byte) ([]byte, error) {
	block, _ := pem.Decode(csr)
	if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, errors.New("the request is no CERTIFICATE REQUEST in PEM")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("the request cannot be used: %w", err)
	}
	if u.Name == "" {
		u.Name, u.Groups = request.Subject.CommonName, append(request.Subject.Organization, u.Groups...)
	}
	if u.Name == "" {
		return nil, errors.New("the request says no name (CN), and --user is not given")
	}
	if err := u.check(); err != nil {
		return nil, err
	}
	return u.sign(ca, by, request.PublicKey)
}

// Kubeconfig is a configuration of kubectl, with a key that was made for it.
func (u User) Kubeconfig(server string, ca *x509.Certificate, by crypto.Signer) ([]byte, error) {
	if u.Name == "" {
		u.Name, u.Groups = administrator, append(u.Groups, user.SystemPrivilegedGroup)
	}
	if err := u.check(); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := u.sign(ca, by, key.Public())
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	const cluster = "writ"
	c := clientcmdapi.NewConfig()
	c.Clusters[cluster] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})}
	c.AuthInfos[u.Name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: certificate, ClientKeyData: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
	}
	c.CurrentContext = u.Name + "@" + cluster
	c.Contexts[c.CurrentContext] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: u.Name}
	return clientcmd.Write(*c)
}
