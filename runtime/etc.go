package runtime

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// maxHostname is what a name is cut to, maxNodename what uname(2) holds: a full name that is longer is refused.
const (
	maxHostname = 63
	maxNodename = 64
)

// shortName is the Pod's host name and the domain that it stands in, which may be empty. An override stands alone.
func shortName(pod *corev1.Pod, domain string) (name, within string) {
	if o := pod.Spec.HostnameOverride; o != nil && *o != "" {
		return cutName(*o), ""
	}
	name = pod.Spec.Hostname
	if name == "" {
		name = pod.Name
	}
	if pod.Spec.Subdomain != "" {
		within = pod.Spec.Subdomain + "." + pod.Namespace + ".svc." + domain
	}
	return cutName(name), within
}

func cutName(name string) string {
	if len(name) <= maxHostname {
		return name
	}
	return strings.TrimRight(name[:maxHostname], "-.")
}

// hostname is what the kernel is told: the short name, or the full one where the Pod asks for it. It is an error if
// that does not fit; the words are upstream's.
func hostname(pod *corev1.Pod, domain string) (string, error) {
	name, within := shortName(pod, domain)
	if on := pod.Spec.SetHostnameAsFQDN; within == "" || on == nil || !*on {
		return name, nil
	}
	full := name + "." + within
	if len(full) > maxNodename {
		return "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)",
			full, maxNodename, len(full))
	}
	return full, nil
}

// hostsFile is /etc/hosts: base for host network Pods, else upstream's own text.
func hostsFile(pod *corev1.Pod, ip, domain, base string) string {
	var b strings.Builder
	if pod.Spec.HostNetwork {
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.WriteString(base)
	} else {
		b.WriteString("# Kubernetes-managed hosts file.\n" +
			"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
			"fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n")
		name, within := shortName(pod, domain)
		if within != "" {
			b.WriteString(ip + "\t" + name + "." + within + "\t" + name + "\n")
		} else {
			b.WriteString(ip + "\t" + name + "\n")
		}
	}
	if len(pod.Spec.HostAliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
		for _, a := range pod.Spec.HostAliases {
			b.WriteString(a.IP + "\t" + strings.Join(a.Hostnames, "\t") + "\n")
		}
	}
	return b.String()
}
