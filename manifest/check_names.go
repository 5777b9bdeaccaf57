package manifest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// maxFullName is how long a full host name may be (uname(2)).
const maxFullName = 64

// fullNames warns of pods that Kubernetes accepts and no node starts for their names.
func (w *whole) fullNames() {
	for _, p := range w.objects {
		if p.pods != nil {
			w.fullName(p)
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
