package manifest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// endpointsRules uses upstream's validation without its strategy, which would link a controller for
// the name of one label.
type endpointsRules struct{}

func (endpointsRules) prepare(runtime.Object)                       {}
func (endpointsRules) prepareUpdate(runtime.Object, runtime.Object) {}
func (endpointsRules) warnings(runtime.Object) []string             { return nil }

func (endpointsRules) validate(obj runtime.Object) field.ErrorList {
	return validation.ValidateEndpointsCreate(obj.(*core.Endpoints))
}

func (endpointsRules) validateUpdate(obj, old runtime.Object) field.ErrorList {
	return validation.ValidateEndpointsUpdate(obj.(*core.Endpoints), old.(*core.Endpoints))
}
