package api

import (
	"net"
	"net/http"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	api "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/kubelet/client"
	endpointsstore "k8s.io/kubernetes/pkg/registry/core/endpoint/storage"
	limitrangestore "k8s.io/kubernetes/pkg/registry/core/limitrange/storage"
	nodestore "k8s.io/kubernetes/pkg/registry/core/node/storage"
	volumestore "k8s.io/kubernetes/pkg/registry/core/persistentvolume/storage"
	claimstore "k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim/storage"
	podstore "k8s.io/kubernetes/pkg/registry/core/pod/storage"
	podtemplatestore "k8s.io/kubernetes/pkg/registry/core/podtemplate/storage"
	controllerstore "k8s.io/kubernetes/pkg/registry/core/replicationcontroller/storage"
	corerest "k8s.io/kubernetes/pkg/registry/core/rest"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	"k8s.io/kubernetes/pkg/registry/core/service/portallocator"
	servicestore "k8s.io/kubernetes/pkg/registry/core/service/storage"
	accountstore "k8s.io/kubernetes/pkg/registry/core/serviceaccount/storage"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

// core is the legacy group. Upstream's own way to make it starts controllers that allocate addresses, which here
// reconcile does.
func core(o generic.RESTOptionsGetter, of settings, kubelets client.ConnectionInfoGetter, transport http.RoundTripper, authz authorizer.Authorizer, signer serviceaccount.TokenGenerator, audiences authenticator.Audiences) (*genericapiserver.APIGroupInfo, error) {
	info, err := (&corerest.GenericConfig{}).NewRESTStorage(enabled(), o)
	if err != nil {
		return nil, err
	}
	storage := info.VersionedResourcesStorageMap["v1"]
	add := func(name string, s rest.Storage, err1 error) {
		if err == nil {
			err = err1
		}
		storage[name] = s
	}
	templates, e := podtemplatestore.NewREST(o)
	add("podtemplates", templates, e)
	limits, e := limitrangestore.NewREST(o)
	add("limitranges", limits, e)
	volumes, volumeStatus, e := volumestore.NewREST(o)
	add("persistentvolumes", volumes, e)
	add("persistentvolumes/status", volumeStatus, nil)
	claims, claimStatus, e := claimstore.NewREST(o)
	add("persistentvolumeclaims", claims, e)
	add("persistentvolumeclaims/status", claimStatus, nil)
	endpoints, e := endpointsstore.NewREST(o)
	add("endpoints", endpoints, e)
	controllers, e := controllerstore.NewStorage(o)
	add("replicationcontrollers", controllers.Controller, e)
	add("replicationcontrollers/status", controllers.Status, nil)
	add("replicationcontrollers/scale", controllers.Scale, nil)
	nodes, e := nodestore.NewStorage(o, client.KubeletClientConfig{}, transport)
	if e != nil {
		return nil, e
	}
	add("nodes", nodes.Node, nil)
	add("nodes/status", nodes.Status, nil)
	pods, e := podstore.NewStorage(o, kubelets, transport, nil, authz)
	if e != nil {
		return nil, e
	}
	add("pods", pods.Pod, nil)
	add("pods/status", pods.Status, nil)
	add("pods/log", pods.Log, nil)
	add("pods/exec", pods.Exec, nil)
	add("pods/attach", pods.Attach, nil)
	add("pods/portforward", pods.PortForward, nil)
	add("pods/proxy", pods.Proxy, nil)
	add("pods/ephemeralcontainers", pods.EphemeralContainers, nil)
	add("pods/resize", pods.Resize, nil)
	accounts, e := accountstore.NewREST(o, signer, audiences, longestToken, pods.Pod.Store, storage["secrets"].(rest.Getter), nodes.Node.Store, false, 0)
	if e != nil {
		return nil, e
	}
	add("serviceaccounts", accounts, nil)
	add("serviceaccounts/token", accounts.Token, nil)
	services, e := newServices(o, of, endpoints, pods.Pod, transport)
	if e != nil {
		return nil, e
	}
	add("services", services.rest, nil)
	add("services/status", services.status, nil)
	add("services/proxy", services.proxy, nil)
	if err != nil {
		return nil, err
	}
	info.PrioritizedVersions = legacyscheme.Scheme.PrioritizedVersionsForGroup("")
	return &info, nil
}

// longestToken is how long a token that somebody asks for may be good.
const longestToken = 24 * time.Hour

type services struct{ rest, status, proxy rest.Storage }

// newServices makes the registry of Services. What it allocates for a write that is only tried comes from allocators of its own,
// which remember nothing.
func newServices(o generic.RESTOptionsGetter, of settings, endpoints servicestore.EndpointsStorage, pods servicestore.PodStorage, transport http.RoundTripper) (services, error) {
	_, cidr, err := net.ParseCIDR(of.services)
	if err != nil {
		return services{}, err
	}
	addresses, err := ipallocator.NewInMemory(cidr)
	if err != nil {
		return services{}, err
	}
	nodePorts, err := utilnet.ParsePortRange(of.nodePorts)
	if err != nil {
		return services{}, err
	}
	ports, err := portallocator.NewInMemory(*nodePorts)
	if err != nil {
		return services{}, err
	}
	r, status, proxy, err := servicestore.NewREST(o, api.IPv4Protocol,
		map[api.IPFamily]ipallocator.Interface{api.IPv4Protocol: addresses}, ports, endpoints, pods, transport)
	if err != nil {
		return services{}, err
	}
	return services{r, status, proxy}, nil
}
