package runtime

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// What resolv.conf may hold at most (resolv.conf(5), and upstream's own limits).
const (
	maxNameservers = 3
	maxSearch      = 32
	maxHostname    = 63
)

// hostname is the Pod's, cut to what the kernel takes.
func hostname(pod *corev1.Pod, domain string) string {
	if o := pod.Spec.HostnameOverride; o != nil && *o != "" {
		return *o
	}
	name := pod.Spec.Hostname
	if name == "" {
		name = pod.Name
	}
	if len(name) > maxHostname {
		name = strings.TrimRight(name[:maxHostname], "-.")
	}
	if on := pod.Spec.SetHostnameAsFQDN; on != nil && *on && pod.Spec.Subdomain != "" {
		return name + "." + pod.Spec.Subdomain + "." + pod.Namespace + ".svc." + domain
	}
	return name
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
		name := hostname(pod, domain)
		if pod.Spec.Subdomain != "" && !strings.Contains(name, ".") {
			b.WriteString(ip + "\t" + name + "." + pod.Spec.Subdomain + "." + pod.Namespace + ".svc." + domain + "\t" + name + "\n")
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

type resolver struct{ servers, search, options []string }

// resolvConf is what the Pod's dnsPolicy and dnsConfig make of the cluster's
// resolver and the node's own configuration.
func resolvConf(pod *corev1.Pod, cluster netip.Addr, domain, host string) string {
	own := parseResolv(host)
	var r resolver
	policy := pod.Spec.DNSPolicy
	switch {
	case policy == corev1.DNSNone:
	case policy == corev1.DNSDefault, !cluster.IsValid(), policy != corev1.DNSClusterFirstWithHostNet && pod.Spec.HostNetwork:
		r = own
	default:
		r = resolver{
			servers: []string{cluster.String()},
			search:  append([]string{pod.Namespace + ".svc." + domain, "svc." + domain, domain}, own.search...),
			options: []string{"ndots:5"},
		}
	}
	if c := pod.Spec.DNSConfig; c != nil {
		r.servers = append(r.servers, c.Nameservers...)
		r.search = append(r.search, c.Searches...)
		r.options = mergeOptions(r.options, c.Options)
	}
	return r.text()
}

func parseResolv(text string) resolver {
	var r resolver
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			r.servers = append(r.servers, fields[1])
		case "search":
			r.search = fields[1:]
		case "options":
			r.options = fields[1:]
		}
	}
	r.search = slices.DeleteFunc(slices.Clone(r.search), func(s string) bool { return s == "." })
	return r
}

// mergeOptions lets the Pod's options replace those of the same name.
func mergeOptions(options []string, own []corev1.PodDNSConfigOption) []string {
	out := slices.Clone(options)
	for _, o := range own {
		text := o.Name
		if o.Value != nil && *o.Value != "" {
			text += ":" + *o.Value
		}
		i := slices.IndexFunc(out, func(s string) bool { name, _, _ := strings.Cut(s, ":"); return name == o.Name })
		if i >= 0 {
			out[i] = text
		} else {
			out = append(out, text)
		}
	}
	return out
}

func (r resolver) text() string {
	var b strings.Builder
	unique := func(list []string, most int) []string {
		var out []string
		for _, s := range list {
			if !slices.Contains(out, s) && len(out) < most {
				out = append(out, s)
			}
		}
		return out
	}
	if search := unique(r.search, maxSearch); len(search) > 0 {
		b.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	for _, s := range unique(r.servers, maxNameservers) {
		b.WriteString("nameserver " + s + "\n")
	}
	if len(r.options) > 0 {
		b.WriteString("options " + strings.Join(r.options, " ") + "\n")
	}
	return b.String()
}
