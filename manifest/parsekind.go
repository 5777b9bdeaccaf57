package manifest

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// shortNames are kubectl's.
var shortNames = map[string]string{
	"cm": "configmaps", "cj": "cronjobs", "crd": "customresourcedefinitions", "deploy": "deployments",
	"ds": "daemonsets", "ep": "endpoints", "ev": "events", "hpa": "horizontalpodautoscalers",
	"ing": "ingresses", "limits": "limitranges", "netpol": "networkpolicies", "no": "nodes",
	"ns": "namespaces", "pc": "priorityclasses", "pdb": "poddisruptionbudgets", "po": "pods",
	"pv": "persistentvolumes", "pvc": "persistentvolumeclaims", "quota": "resourcequotas",
	"rc": "replicationcontrollers", "rs": "replicasets", "sa": "serviceaccounts", "sc": "storageclasses",
	"sts": "statefulsets", "svc": "services",
}

// ParseKind is the kind that a person names: its name in any case, its plural, kubectl's short name,
// each with or without ".group" behind it. Where two groups have it, the older one is meant.
func ParseKind(word string) (schema.GroupKind, bool) {
	name, group, grouped := strings.Cut(strings.ToLower(word), ".")
	if long, ok := shortNames[name]; ok {
		name = long
	}
	var found schema.GroupKind
	ok := false
	for gk, k := range kinds {
		if name != strings.ToLower(gk.Kind) && name != k.resource || grouped && group != gk.Group {
			continue
		}
		if !ok || gk.Group < found.Group {
			found, ok = gk, true
		}
	}
	return found, ok
}
