package manifest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// serviceAccountRules uses upstream's validation without its strategy, which would link token signing
// for the name of one annotation.
type serviceAccountRules struct{}

func (serviceAccountRules) prepare(obj runtime.Object) {
	account := obj.(*core.ServiceAccount)
	for i, s := range account.Secrets {
		account.Secrets[i] = core.ObjectReference{Name: s.Name}
	}
}

func (r serviceAccountRules) prepareUpdate(obj, _ runtime.Object) { r.prepare(obj) }
func (serviceAccountRules) warnings(runtime.Object) []string      { return nil }

func (serviceAccountRules) validate(obj runtime.Object) field.ErrorList {
	return validation.ValidateServiceAccount(obj.(*core.ServiceAccount))
}

func (serviceAccountRules) validateUpdate(obj, old runtime.Object) field.ErrorList {
	return validation.ValidateServiceAccountUpdate(obj.(*core.ServiceAccount), old.(*core.ServiceAccount))
}
