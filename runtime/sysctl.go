package runtime

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
	sysctls "k8s.io/component-helpers/node/util/sysctl"
	policy "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/kubernetes/pkg/util/kernel"

	"writ/manifest"
)

// sysctlRules are the sysctls that Pods may set on this node: the safe ones and those that its operator allowed, by
// name or by a pattern that ends in "*".
type sysctlRules struct {
	names    map[string]sysctls.Namespace
	prefixes map[string]sysctls.Namespace
}

func newSysctlRules(unsafe []string, running *version.Version) (*sysctlRules, error) {
	r := &sysctlRules{names: map[string]sysctls.Namespace{}, prefixes: map[string]sysctls.Namespace{}}
	patterns := append([]string(nil), unsafe...)
	for _, s := range manifest.SafeSysctls() {
		if s.Since == "" || running != nil && running.AtLeast(version.MustParseGeneric(s.Since)) {
			patterns = append(patterns, s.Name)
		}
	}
	for _, p := range patterns {
		if !policy.IsValidSysctlPattern(p) {
			return nil, fmt.Errorf("sysctl %q must be a name or a pattern that ends in *", p)
		}
		space, name, prefix := sysctls.GetNamespace(p)
		switch {
		case space == sysctls.UnknownNamespace:
			return nil, fmt.Errorf("the sysctls %q are not known to be namespaced", name)
		case prefix:
			r.prefixes[name] = space
		default:
			r.names[name] = space
		}
	}
	return r, nil
}

// ValidSysctls says which of the names and patterns that a node allows beside the safe ones cannot be.
func ValidSysctls(unsafe []string) error {
	_, err := newSysctlRules(unsafe, nil)
	return err
}

// refuse says why a Pod's sysctls are not allowed, nil if they are.
func (r *sysctlRules) refuse(pod *corev1.Pod) *rejection {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		if why := r.check(sysctls.NormalizeName(s.Name), pod); why != "" {
			return &rejection{"SysctlForbidden", "forbidden sysctl: " + why}
		}
	}
	return nil
}

func (r *sysctlRules) check(name string, pod *corev1.Pod) string {
	space, found := r.names[name]
	for prefix, s := range r.prefixes {
		if !found && strings.HasPrefix(name, prefix) {
			space, found = s, true
		}
	}
	switch {
	case !found:
		return fmt.Sprintf("%q not allowlisted", name)
	case space == sysctls.IPCNamespace && pod.Spec.HostIPC, space == sysctls.NetNamespace && pod.Spec.HostNetwork:
		return fmt.Sprintf("%q not allowed with host %s enabled", name, space)
	}
	return ""
}

// kernelVersion is the running kernel's, nil if it cannot be told.
func kernelVersion() *version.Version {
	v, err := kernel.GetVersion()
	if err != nil {
		return nil
	}
	return v
}
