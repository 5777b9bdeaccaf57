package manifest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/apis/core"
)

// claimRules are upstream's for a PersistentVolumeClaim. One that is bound may ask for more, so that a status
// which says so is not thrown away, as it is of a new claim.
type claimRules struct{ strategyRules }

func (r claimRules) prepare(obj runtime.Object) {
	c := obj.(*core.PersistentVolumeClaim)
	status := c.Status
	r.strategyRules.prepare(obj)
	if status.Phase == core.ClaimBound {
		c.Status = status
	}
}
