package api

import (
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"writ/api/control"
)

// OpenID are the documents by which others verify the tokens of ServiceAccounts.
type OpenID interface {
	TokenKeys() ([]byte, error)
	TokenIssuer() ([]byte, error)
}

// installOpenID serves them to who may read them.
func installOpenID(h *genericapiserver.APIServerHandler, o OpenID) {
	h.NonGoRestfulMux.HandleFunc(control.PathJWKS, func(w http.ResponseWriter, _ *http.Request) { control.ServeKeys(w, o.TokenKeys) })
	h.NonGoRestfulMux.HandleFunc(control.PathDiscovery, func(w http.ResponseWriter, _ *http.Request) { control.ServeIssuer(w, o.TokenIssuer) })
}
