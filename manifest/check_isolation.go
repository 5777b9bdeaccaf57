package manifest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
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

// maxFullName is how long a full host name may be (uname(2)).
const maxFullName = 64

// isolation warns of pods that Kubernetes accepts and no node, or only some, will start.
func (w *whole) isolation() {
	safe := map[string]bool{}
	for _, s := range SafeSysctls() {
		safe[s.Name] = true
	}
	for _, p := range w.objects {
		if p.pods == nil {
			continue
		}
		w.fullName(p)
		if p.pods.spec.SecurityContext == nil {
			continue
		}
		for i, s := range p.pods.spec.SecurityContext.Sysctls {
			name, field := sysctls.NormalizeName(s.Name), index(p.pods.path+".securityContext.sysctls", i)+".name"
			switch space, _, _ := sysctls.GetNamespace(name); {
			case space == sysctls.UnknownNamespace:
				w.hint(p, field, fmt.Sprintf("%s belongs to no namespace of a pod, so no node lets a pod set it: the pod fails with SysctlForbidden", name))
			case !safe[name]:
				w.hint(p, field, fmt.Sprintf("%s is not a safe sysctl: the pod fails with SysctlForbidden on a node whose --allowed-unsafe-sysctls does not name it", name))
			}
		}
	}
}

// fullName warns of a full host name that does not fit, where the name of the pod is known.
func (w *whole) fullName(p *parsed) {
	spec := p.pods.spec
	if on := spec.SetHostnameAsFQDN; on == nil || !*on || spec.Subdomain == "" || spec.HostNetwork || spec.HostnameOverride != nil {
		return
	}
	host := spec.Hostname
	if _, bare := p.Object.(*corev1.Pod); host == "" && bare {
		host = p.Ref.Name
	}
	if host == "" {
		return
	}
	full := host[:min(len(host), 63)] + "." + spec.Subdomain + "." + p.Ref.Namespace + ".svc." + w.settings.ClusterDomain
	if len(full) > maxFullName {
		w.hint(p, p.pods.path+".setHostnameAsFQDN", fmt.Sprintf("the full name %s has %d characters, a host name has at most %d: no sandbox can be made", full, len(full), maxFullName))
	}
}
