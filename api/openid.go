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
	serve := func(path, kind string, read func() ([]byte, error)) {
		h.NonGoRestfulMux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			data, err := read()
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(data)
		})
	}
	serve(control.PathJWKS, "application/jwk-set+json", o.TokenKeys)
	serve(control.PathDiscovery, "application/json", o.TokenIssuer)
}
