package manifest

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

// foreignGroups are groups of Kubernetes' own none of whose kinds can be declared.
var foreignGroups = []string{
	"authentication.k8s.io", "authorization.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io", "imagepolicy.k8s.io",
	"internal.apiserver.k8s.io", "resource.k8s.io", "storagemigration.k8s.io", "admission.k8s.io", "metrics.k8s.io",
}

// configures tells whether a group is of files that programs of Kubernetes are started with.
func configures(group string) bool {
	switch group {
	case "kustomize.config.k8s.io":
		return false
	case "audit.k8s.io", "kubeadm.k8s.io", "client.authentication.k8s.io":
		return true
	}
	return strings.HasSuffix(group, ".config.k8s.io")
}

// ownGroup tells whether an API group is Kubernetes' own. Groups without a dot are its own, as no
// CustomResourceDefinition can have one.
func ownGroup(group string) bool {
	if !strings.Contains(group, ".") || slices.Contains(foreignGroups, group) || configures(group) {
		return true
	}
	for gk := range kinds {
		if gk.Group == group {
			return true
		}
	}
	return group == settingsGroup
}

// checkNames refuses what no API server could serve, so that kinds and groups can stand in addresses
// and on terminals. What is missing is reported elsewhere.
func checkNames(gvk schema.GroupVersionKind) []problem {
	var problems []problem
	check := func(path, text string, errs []string) {
		if text != "" && len(errs) > 0 {
			problems = append(problems, problem{path, fmt.Sprintf("%.80q: %s", text, errs[0])})
		}
	}
	check("apiVersion", gvk.Group, validation.IsDNS1123Subdomain(gvk.Group))
	check("apiVersion", gvk.Version, validation.IsDNS1035Label(gvk.Version))
	check("kind", gvk.Kind, validation.IsDNS1035Label(strings.ToLower(gvk.Kind)))
	return problems
}

// reads tells whether objects may be written in the version.
func (k *kind) reads(version string) bool {
	return version == k.gvk.Version || slices.Contains(k.others, version)
}

// wrongKind says what to write instead of a kind or version that is not read.
func wrongKind(gvk schema.GroupVersionKind, k *kind) string {
	written := gvk.GroupVersion().String()
	if k != nil {
		return fmt.Sprintf("%s is not served for %s; write apiVersion: %s", written, gvk.Kind, k.gvk.GroupVersion())
	}
	if gvk.Group == settingsGroup {
		return fmt.Sprintf("%s %s belongs in %s at the root of the followed folder, or is not known", written, gvk.Kind, settingsFile)
	}
	var others []string
	for gk, other := range kinds {
		if strings.EqualFold(gk.Kind, gvk.Kind) {
			others = append(others, fmt.Sprintf("apiVersion: %s, kind: %s", other.gvk.GroupVersion(), gk.Kind))
		}
	}
	slices.Sort(others)
	if len(others) > 0 {
		return fmt.Sprintf("%s has no kind %q; write %s", written, gvk.Kind, strings.Join(others, " or "))
	}
	if configures(gvk.Group) {
		return fmt.Sprintf("%s %s configures a program of Kubernetes and is no object of a cluster; list the file in .writignore", written, gvk.Kind)
	}
	if slices.Contains(foreignGroups, gvk.Group) {
		return fmt.Sprintf("objects of %s are not supported", written)
	}
	return fmt.Sprintf("%s has no kind %q that can be declared", written, gvk.Kind)
}
