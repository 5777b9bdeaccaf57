package manifest

import (
	"fmt"
	"slices"

	sysctls "k8s.io/component-helpers/node/util/sysctl"
)

// Sysctl is one that every Pod may set, from a version of the kernel on ("" is any).
type Sysctl struct{ Name, Since string }

// SafeSysctls are those that belong to a namespace and touch nobody else, as upstream's SafeSysctlAllowlist.
func SafeSysctls() []Sysctl {
	return []Sysctl{
		{"kernel.shm_rmid_forced", ""},
		{"net.ipv4.ip_local_port_range", ""},
		{"net.ipv4.tcp_syncookies", ""},
		{"net.ipv4.ping_group_range", ""},
		{"net.ipv4.ip_unprivileged_port_start", ""},
		{"net.ipv4.ip_local_reserved_ports", "3.16"},
		{"net.ipv4.tcp_keepalive_time", "4.5"},
		{"net.ipv4.tcp_fin_timeout", "4.6"},
		{"net.ipv4.tcp_keepalive_intvl", "4.5"},
		{"net.ipv4.tcp_keepalive_probes", "4.5"},
		{"net.ipv4.tcp_rmem", "4.15"},
		{"net.ipv4.tcp_wmem", "4.15"},
	}
}

// sysctls warns of those that no node, or only some, will set.
func (n *needs) sysctls(pods *podFacts) {
	if pods.spec.SecurityContext == nil {
		return
	}
	for i, s := range pods.spec.SecurityContext.Sysctls {
		name, field := sysctls.NormalizeName(s.Name), index(pods.path+".securityContext.sysctls", i)+".name"
		switch space, _, _ := sysctls.GetNamespace(name); {
		case space == sysctls.UnknownNamespace:
			n.warn(field, fmt.Sprintf("%s belongs to no namespace of a pod, so no node lets a pod set it: the pod fails with SysctlForbidden", name))
		case !slices.ContainsFunc(SafeSysctls(), func(safe Sysctl) bool { return safe.Name == name }):
			n.warn(field, fmt.Sprintf("%s is not a safe sysctl: the pod fails with SysctlForbidden on a node whose --allowed-unsafe-sysctls does not name it", name))
		}
	}
}
