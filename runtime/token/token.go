package token

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
)

const (
	// extended is what the life of a token with upstream's own expiry becomes, in which clients
	// that never read their file again go on working (KEP-1205).
	extended = 365 * 24 * time.Hour
	// warned is the expiry, in seconds, that upstream's admission asks for.
	warned = 3607
	// longest is after how long a token is made anew, however long it lives.
	longest = 24 * time.Hour
	// jwksPath is where an API server shows the keys.
	jwksPath = "/openid/v1/jwks"
)

// Object names what a token is bound to.
type Object struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

// Request is a token to be.
type Request struct {
	Namespace          string
	Account, Pod, Node Object
	// Issuer says who is asked whether the token is good: the API's address.
	Issuer string
	// Audience is for whom it is, the issuer itself if empty.
	Audience string
	// Seconds is how long it is good, at least 600.
	Seconds int64
}

// Token is one that was made.
type Token struct {
	Text string
	// Refresh is when the next is to be made: after 80 % of its life, or a day. It is of the clock on the wall, as
	// a token's end is, so that a clock that is set, or a node that slept, keeps no token too long.
	Refresh time.Time
}

// Issuer signs tokens.
type Issuer struct {
	signer jose.Signer
	public jose.JSONWebKey
}

// New makes an issuer of a P-256 key. The key's ID is a digest of its public half, as upstream has it.
func New(key *ecdsa.PrivateKey) (*Issuer, error) {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("open token issuer: %w", err)
	}
	sum := sha256.Sum256(der)
	id := base64.RawURLEncoding.EncodeToString(sum[:])
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Algorithm: string(jose.ES256), Key: key, KeyID: id, Use: "sig"}}, nil)
	if err != nil {
		return nil, fmt.Errorf("open token issuer: %w", err)
	}
	return &Issuer{signer: signer, public: jose.JSONWebKey{Algorithm: string(jose.ES256), Key: &key.PublicKey, KeyID: id, Use: "sig"}}, nil
}

// claims are those of upstream's tokens.
type claims struct {
	Issuer     string           `json:"iss"`
	Subject    string           `json:"sub"`
	Audience   []string         `json:"aud"`
	IssuedAt   *jwt.NumericDate `json:"iat"`
	NotBefore  *jwt.NumericDate `json:"nbf"`
	Expiry     *jwt.NumericDate `json:"exp"`
	ID         string           `json:"jti"`
	Kubernetes bound            `json:"kubernetes.io"`
}

type bound struct {
	Namespace string           `json:"namespace"`
	Node      *Object          `json:"node,omitempty"`
	Pod       *Object          `json:"pod,omitempty"`
	Account   Object           `json:"serviceaccount"`
	WarnAfter *jwt.NumericDate `json:"warnafter,omitempty"`
}

// Issue makes a token that is good from now on.
func (i *Issuer) Issue(r Request, now time.Time) (Token, error) {
	if r.Seconds < 600 {
		return Token{}, fmt.Errorf("make token: it would be good for %d seconds, at least 600 are allowed", r.Seconds)
	}
	audience := r.Audience
	if audience == "" {
		audience = r.Issuer
	}
	life := time.Duration(r.Seconds) * time.Second
	c := claims{
		Issuer: r.Issuer, Subject: "system:serviceaccount:" + r.Namespace + ":" + r.Account.Name, Audience: []string{audience},
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(life)), ID: uuid.NewString(),
		Kubernetes: bound{Namespace: r.Namespace, Account: r.Account, Pod: &r.Pod},
	}
	if r.Node.Name != "" {
		c.Kubernetes.Node = &r.Node
	}
	if r.Seconds == warned && audience == r.Issuer {
		c.Expiry = jwt.NewNumericDate(now.Add(extended))
		c.Kubernetes.WarnAfter = jwt.NewNumericDate(now.Add(life))
	}
	text, err := jwt.Signed(i.signer).Claims(c).Serialize()
	if err != nil {
		return Token{}, fmt.Errorf("make token: %w", err)
	}
	return Token{Text: text, Refresh: now.Round(0).Add(min(life/10*8, longest))}, nil
}

// Keys are the public keys as a JSON Web Key Set (RFC 7517).
func (i *Issuer) Keys() ([]byte, error) {
	return json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.public}})
}

// Discovery is the document of OpenID Connect Discovery 1.0 for an issuer's address.
func (i *Issuer) Discovery(issuer string) ([]byte, error) {
	return json.Marshal(struct {
		Issuer        string   `json:"issuer"`
		JWKSURI       string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		SigningAlgs   []string `json:"id_token_signing_alg_values_supported"`
	}{issuer, issuer + jwksPath, []string{"id_token"}, []string{"public"}, []string{string(jose.ES256)}})
}
