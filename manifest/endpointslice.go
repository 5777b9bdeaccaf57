package manifest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/discovery"
	"k8s.io/kubernetes/pkg/apis/discovery/validation"
)

// endpointSliceRules uses upstream's validation without its strategy, which would link two
// controllers for the name of one label.
type endpointSliceRules struct{}

// prepare drops what cannot be written in discovery.k8s.io/v1.
func (endpointSliceRules) prepare(obj runtime.Object) {
	slice := obj.(*discovery.EndpointSlice)
	for i := range slice.Endpoints {
		slice.Endpoints[i].DeprecatedTopology = nil
	}
}

func (r endpointSliceRules) prepareUpdate(obj, _ runtime.Object) { r.prepare(obj) }

func (endpointSliceRules) warnings(obj runtime.Object) []string {
	if obj.(*discovery.EndpointSlice).AddressType == discovery.AddressTypeFQDN {
		return []string{"addressType: FQDN endpoints are deprecated"}
	}
	return nil
}

func (endpointSliceRules) validate(obj runtime.Object) field.ErrorList {
	return validation.ValidateEndpointSliceCreate(obj.(*discovery.EndpointSlice))
}

func (endpointSliceRules) validateUpdate(obj, old runtime.Object) field.ErrorList {
	return validation.ValidateEndpointSliceUpdate(obj.(*discovery.EndpointSlice), old.(*discovery.EndpointSlice))
}
