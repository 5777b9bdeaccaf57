package manifest

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// rules is what upstream's API server applies to a kind when it is created and updated. Objects are of
// upstream's internal types; prepare and prepareUpdate modify them.
type rules interface {
	prepare(obj runtime.Object)
	validate(obj runtime.Object) field.ErrorList
	warnings(obj runtime.Object) []string
	prepareUpdate(obj, old runtime.Object)
	validateUpdate(obj, old runtime.Object) field.ErrorList
}

// strategy is upstream's own form of the rules.
type strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
}

// strategyRules calls a strategy as the API server would for a request to the kind's own resource.
type strategyRules struct {
	strategy strategy
	gvk      schema.GroupVersionKind
	resource string
}

func (s strategyRules) prepare(obj runtime.Object) {
	ctx := request.WithRequestInfo(request.WithNamespace(request.NewContext(), namespaceOf(obj)), s.info("create"))
	s.strategy.PrepareForCreate(ctx, obj)
}

func (s strategyRules) validate(obj runtime.Object) field.ErrorList {
	ctx := request.WithRequestInfo(request.WithNamespace(request.NewContext(), namespaceOf(obj)), s.info("create"))
	return s.strategy.Validate(ctx, obj)
}

func (s strategyRules) warnings(obj runtime.Object) []string {
	ctx := request.WithRequestInfo(request.WithNamespace(request.NewContext(), namespaceOf(obj)), s.info("create"))
	return s.strategy.WarningsOnCreate(ctx, obj)
}

func (s strategyRules) prepareUpdate(obj, old runtime.Object) {
	ctx := request.WithRequestInfo(request.WithNamespace(request.NewContext(), namespaceOf(obj)), s.info("update"))
	s.strategy.PrepareForUpdate(ctx, obj, old)
}

func (s strategyRules) validateUpdate(obj, old runtime.Object) field.ErrorList {
	ctx := request.WithRequestInfo(request.WithNamespace(request.NewContext(), namespaceOf(obj)), s.info("update"))
	return s.strategy.ValidateUpdate(ctx, obj, old)
}

func (s strategyRules) info(verb string) *request.RequestInfo {
	return &request.RequestInfo{
		IsResourceRequest: true,
		Verb:              verb,
		APIGroup:          s.gvk.Group,
		APIVersion:        s.gvk.Version,
		Resource:          s.resource,
	}
}

func namespaceOf(obj runtime.Object) string {
	if m, ok := obj.(metav1.Object); ok {
		return m.GetNamespace()
	}
	return ""
}
