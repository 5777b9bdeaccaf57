package control

import "net/http"

// Where an API server shows by which keys the tokens of ServiceAccounts can be verified.
const (
	PathJWKS      = "/openid/v1/jwks"
	PathDiscovery = "/.well-known/openid-configuration"
)

// jwks gives the public keys (RFC 7517).
func (s *Server) jwks(w http.ResponseWriter, _ *http.Request) { ServeKeys(w, s.daemon.TokenKeys) }

// discovery describes the issuer (OpenID Connect Discovery 1.0).
func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) {
	ServeIssuer(w, s.daemon.TokenIssuer)
}

// ServeKeys answers with a JSON Web Key Set.
func ServeKeys(w http.ResponseWriter, read func() ([]byte, error)) {
	document(w, "application/jwk-set+json", read)
}

// ServeIssuer answers with a document of OpenID Connect Discovery.
func ServeIssuer(w http.ResponseWriter, read func() ([]byte, error)) {
	document(w, "application/json", read)
}

func document(w http.ResponseWriter, kind string, make func() ([]byte, error)) {
	data, err := make()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(data)
}
