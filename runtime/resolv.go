package runtime

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// What resolv.conf may hold at most (upstream's MaxDNSNameservers, MaxDNSSearchPaths, MaxDNSSearchListChars, and the length of one
// name, above which some resolvers abort).
const (
	maxNameservers = 3
	maxSearch      = 32
	maxSearchLine  = 2048
	maxSearchName  = 253
)

type resolver struct{ servers, search, options []string }

// notice is what people are told about a Pod's resolver: an event's reason and message.
type notice struct{ reason, message string }

// resolvConf is what the Pod's dnsPolicy and dnsConfig make of the cluster's
// resolver and the node's own configuration, and what had to be left out.
func resolvConf(pod *corev1.Pod, cluster netip.Addr, domain, host string) (string, []notice) {
	var r resolver
	var told []notice
	switch own := parseResolv(host); dnsSource(pod) {
	case corev1.DNSNone:
	case corev1.DNSDefault:
		r = own
	default:
		if !cluster.IsValid() {
			r = own
			told = append(told, notice{"MissingClusterDNS", fmt.Sprintf("pod: %q. kubelet does not have ClusterDNS IP configured and cannot create Pod using %q policy. Falling back to %q policy.",
				podText(pod), corev1.DNSClusterFirst, corev1.DNSDefault)})
			break
		}
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
	told = append(told, r.fit()...)
	return r.text(), told
}

// dnsSource is where the Pod's resolver comes from: on the node's network the cluster's must be asked for by name.
func dnsSource(pod *corev1.Pod) corev1.DNSPolicy {
	switch p := pod.Spec.DNSPolicy; {
	case p == corev1.DNSNone, p == corev1.DNSDefault, p == corev1.DNSClusterFirstWithHostNet:
		return p
	case pod.Spec.HostNetwork:
		return corev1.DNSDefault
	}
	return corev1.DNSClusterFirst
}

func podText(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
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
			r.search = nil
			for _, s := range fields[1:] {
				if s != "." {
					r.search = append(r.search, strings.TrimSuffix(s, "."))
				}
			}
		case "options": // more than one line adds up
			for _, o := range fields[1:] {
				r.options = setOption(r.options, o)
			}
		}
	}
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
		out = setOption(out, text)
	}
	return out
}

// setOption adds an option in place of one of the same name.
func setOption(options []string, option string) []string {
	name, _, _ := strings.Cut(option, ":")
	i := slices.IndexFunc(options, func(s string) bool { old, _, _ := strings.Cut(s, ":"); return old == name })
	if i < 0 {
		return append(options, option)
	}
	options[i] = option
	return options
}

// fit removes what is there twice and what is too much, and says so in upstream's words.
func (r *resolver) fit() []notice {
	var told []notice
	r.servers, r.search = unique(r.servers), unique(r.search)
	if len(r.servers) > maxNameservers {
		r.servers = r.servers[:maxNameservers]
		told = append(told, notice{"DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: " + strings.Join(r.servers, " ")})
	}
	all := len(r.search)
	r.search = r.search[:min(all, maxSearch)]
	r.search = slices.DeleteFunc(r.search, func(s string) bool { return len(s) > maxSearchName })
	for len(strings.Join(r.search, " ")) > maxSearchLine {
		r.search = r.search[:len(r.search)-1]
	}
	if len(r.search) < all {
		told = append(told, notice{"DNSConfigForming", "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: " + strings.Join(r.search, " ")})
	}
	return told
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (r *resolver) text() string {
	var b strings.Builder
	if len(r.search) > 0 {
		b.WriteString("search " + strings.Join(r.search, " ") + "\n")
	}
	for _, s := range r.servers {
		b.WriteString("nameserver " + s + "\n")
	}
	if len(r.options) > 0 {
		b.WriteString("options " + strings.Join(r.options, " ") + "\n")
	}
	return b.String()
}
