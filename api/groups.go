package api

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	appsrest "k8s.io/kubernetes/pkg/registry/apps/rest"
	authenticationrest "k8s.io/kubernetes/pkg/registry/authentication/rest"
	authorizationrest "k8s.io/kubernetes/pkg/registry/authorization/rest"
	autoscalingrest "k8s.io/kubernetes/pkg/registry/autoscaling/rest"
	batchrest "k8s.io/kubernetes/pkg/registry/batch/rest"
	certificatesrest "k8s.io/kubernetes/pkg/registry/certificates/rest"
	coordinationrest "k8s.io/kubernetes/pkg/registry/coordination/rest"
	discoveryrest "k8s.io/kubernetes/pkg/registry/discovery/rest"
	eventsrest "k8s.io/kubernetes/pkg/registry/events/rest"
	networkingrest "k8s.io/kubernetes/pkg/registry/networking/rest"
	noderest "k8s.io/kubernetes/pkg/registry/node/rest"
	policyrest "k8s.io/kubernetes/pkg/registry/policy/rest"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	schedulingrest "k8s.io/kubernetes/pkg/registry/scheduling/rest"
	storagerest "k8s.io/kubernetes/pkg/registry/storage/rest"

	"writ/api/eventstore"
	"writ/api/worldstore"
	"writ/manifest"
)

// served are the groups of the API beside the legacy one, with the versions that are served of them, the
// preferred one first.
var served = []schema.GroupVersion{
	{Group: "apps", Version: "v1"},
	{Group: "authentication.k8s.io", Version: "v1"},
	{Group: "authorization.k8s.io", Version: "v1"},
	{Group: "autoscaling", Version: "v2"},
	{Group: "autoscaling", Version: "v1"},
	{Group: "batch", Version: "v1"},
	{Group: "certificates.k8s.io", Version: "v1"},
	{Group: "coordination.k8s.io", Version: "v1"},
	{Group: "discovery.k8s.io", Version: "v1"},
	{Group: "events.k8s.io", Version: "v1"},
	{Group: "networking.k8s.io", Version: "v1"},
	{Group: "node.k8s.io", Version: "v1"},
	{Group: "policy", Version: "v1"},
	{Group: "rbac.authorization.k8s.io", Version: "v1"},
	{Group: "scheduling.k8s.io", Version: "v1"},
	{Group: "storage.k8s.io", Version: "v1"},
}

// provider makes the registries of a group.
type provider interface {
	NewRESTStorage(serverstorage.APIResourceConfigSource, generic.RESTOptionsGetter) (genericapiserver.APIGroupInfo, error)
}

func providers(authn authenticator.Request, audiences authenticator.Audiences, authz authorizer.Authorizer, rules authorizer.RuleResolver) []provider {
	return []provider{
		appsrest.StorageProvider{},
		authenticationrest.RESTStorageProvider{Authenticator: authn, APIAudiences: audiences},
		authorizationrest.RESTStorageProvider{Authorizer: authz, RuleResolver: rules},
		autoscalingrest.RESTStorageProvider{},
		batchrest.RESTStorageProvider{},
		certificatesrest.RESTStorageProvider{Authorizer: authz},
		coordinationrest.RESTStorageProvider{},
		discoveryrest.StorageProvider{},
		eventsrest.RESTStorageProvider{},
		networkingrest.RESTStorageProvider{},
		noderest.RESTStorageProvider{},
		policyrest.RESTStorageProvider{},
		rbacrest.RESTStorageProvider{Authorizer: authz},
		schedulingrest.RESTStorageProvider{},
		storagerest.RESTStorageProvider{},
	}
}

// enabled are the versions that are served.
func enabled() *serverstorage.ResourceConfig {
	c := serverstorage.NewResourceConfig()
	c.EnableVersions(schema.GroupVersion{Version: "v1"})
	c.EnableVersions(served...)
	return c
}

// options are those of every resource's registry: its storage is the World.
type options struct {
	stores *worldstore.Stores
	events *eventstore.Store
	kinds  map[schema.GroupResource]schema.GroupKind // what they were asked for
}

func (o options) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	kinds, _, err := legacyscheme.Scheme.ObjectKinds(example)
	if err != nil {
		return generic.RESTOptions{}, fmt.Errorf("storage of %s: %w", resource, err)
	}
	kind := kinds[0].GroupKind()
	o.kinds[resource] = kind
	if kind == (schema.GroupKind{Kind: "Event"}) {
		return o.events.Options(), nil
	}
	stored := manifest.GVK(manifest.Ref{Group: kind.Group, Kind: kind.Kind}).GroupVersion()
	if stored.Version == "" { // of a kind that no World holds
		stored.Version = legacyscheme.Scheme.PrioritizedVersionsForGroup(kind.Group)[0].Version
	}
	return o.stores.Options(resource, worldstore.Kind{
		GroupKind: kind, Scheme: legacyscheme.Scheme, Codec: legacyscheme.Codecs.LegacyCodec(stored),
	}), nil
}

// versions are those of a group that are served, in the order of preference.
func versions(of []schema.GroupVersion) []schema.GroupVersion {
	var list []schema.GroupVersion
	for _, gv := range served {
		if slices.Contains(of, gv) {
			list = append(list, gv)
		}
	}
	return list
}
