package api

import (
	"net/http"
	"sync"

	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	openapi "k8s.io/kube-openapi/pkg/common"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	generatedopenapi "k8s.io/kubernetes/pkg/generated/openapi"

	"writ/api/resourcemetrics"
)

// documents are the descriptions of the API (OpenAPI v2 and v3). They take time and memory to make, and few clients ask: each is
// made when it is first asked for.
type documents struct {
	v2 *openapi.Config
	v3 *openapi.OpenAPIV3Config
}

// newDocuments tells the server how its types are described, and to leave the rest.
func newDocuments(c *genericapiserver.Config) documents {
	namer := openapinamer.NewDefinitionNamer(legacyscheme.Scheme, resourcemetrics.Scheme)
	d := documents{
		v2: genericapiserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, namer),
		v3: genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, namer),
	}
	d.v2.Info.Title, d.v3.Info.Title = "Kubernetes", "Kubernetes"
	c.OpenAPIConfig, c.OpenAPIV3Config, c.SkipOpenAPIInstallation = d.v2, d.v3, true
	return d
}

func (d documents) install(h *genericapiserver.APIServerHandler) {
	container := h.GoRestfulContainer
	h.NonGoRestfulMux.Handle("/openapi/v2", later(func(m *mux.PathRecorderMux) {
		routes.OpenAPI{Config: d.v2}.InstallV2(container, m)
	}))
	v3 := later(func(m *mux.PathRecorderMux) { routes.OpenAPI{V3Config: d.v3}.InstallV3(container, m) })
	h.NonGoRestfulMux.Handle("/openapi/v3", v3)
	h.NonGoRestfulMux.HandlePrefix("/openapi/v3/", v3)
}

// later is a handler that is made when it is first asked.
func later(install func(*mux.PathRecorderMux)) http.Handler {
	made := sync.OnceValue(func() *mux.PathRecorderMux {
		m := mux.NewPathRecorderMux("openapi")
		install(m)
		return m
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { made().ServeHTTP(w, r) })
}
