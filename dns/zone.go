package dns

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"writ/state"
)

// ttl of every answer about the cluster, in seconds: CoreDNS' value for it.
const ttl = 5

// specVersion is the version of "Kubernetes DNS-Based Service Discovery" that is followed.
const specVersion = "1.1.0"

// defaultDomain is the cluster domain that a commit without a writ.yaml has.
const defaultDomain = "cluster.local"

// Ranges of pods and services that a commit without a writ.yaml has, and names under arpa.
const (
	defaultPods     = "10.244.0.0/16"
	defaultServices = "10.96.0.0/16"
	arpa            = "in-addr.arpa."
)

// zone answers questions about one View.
type zone struct {
	view    state.View
	domain  string         // with a final dot, lower case
	known   bool           // a commit is adopted
	ranges  []netip.Prefix // the cluster's own addresses
	reverse reverse
}

func newZone(v state.View, r reverse) *zone {
	settings := v.Adopted().Settings.Spec
	z := &zone{
		view: v, domain: dns.CanonicalName(cmp.Or(settings.ClusterDomain, defaultDomain)),
		known: v.Adopted().Commit != "", reverse: r,
	}
	for _, text := range []string{cmp.Or(settings.PodCIDR, defaultPods), cmp.Or(settings.ServiceCIDR, defaultServices)} {
		if p, err := netip.ParsePrefix(text); err == nil {
			z.ranges = append(z.ranges, p)
		}
	}
	return z
}

// reply is what the zone says to a question.
type reply struct {
	rcode  int
	answer []dns.RR
	extra  []dns.RR
	// follow is a name outside the zone that a CNAME in answer points to; empty if there is none.
	follow string
	ours   bool // false: the question is not about the cluster
}

// ask answers a question. name is canonical: lower case with a final dot.
func (z *zone) ask(name string, qtype uint16) reply {
	if ip, ok := reverseAddress(name); ok {
		return z.pointer(name, qtype, ip)
	}
	if name != z.domain && !strings.HasSuffix(name, "."+z.domain) {
		return reply{}
	}
	labels := strings.Split(strings.TrimSuffix(strings.TrimSuffix(name, z.domain), "."), ".")
	slices.Reverse(labels) // from the zone downward: svc, namespace, service, ...
	r := z.inside(name, qtype, labels)
	if sure := qtype == dns.TypeAAAA && r.rcode == dns.RcodeSuccess && len(labels) > 2; !z.known && len(r.answer) == 0 && !sure {
		// What was restored is true, what is not there may come yet. That a name which is there has no IPv6
		// address is sure; resolvers give up the IPv4 one too if they are told of a failure.
		r = reply{rcode: dns.RcodeServerFailure}
	}
	r.ours = true
	return r
}

func nothing(exists bool) reply {
	if exists {
		return reply{}
	}
	return reply{rcode: dns.RcodeNameError}
}

func (z *zone) inside(name string, qtype uint16, labels []string) reply {
	switch {
	case labels[0] == "":
		if qtype == dns.TypeSOA {
			return reply{answer: []dns.RR{z.soa(name)}}
		}
		return nothing(true)
	case labels[0] == "dns-version" && len(labels) == 1:
		if qtype == dns.TypeTXT {
			return reply{answer: []dns.RR{&dns.TXT{Hdr: header(name, dns.TypeTXT), Txt: []string{specVersion}}}}
		}
		return nothing(true)
	case labels[0] == "svc":
		return z.services(name, qtype, labels[1:])
	case labels[0] == "pod":
		return z.pods(name, qtype, labels[1:])
	}
	return nothing(false)
}

// above answers for svc and pod themselves and for a namespace in them; false for what is further down.
func (z *zone) above(labels []string) (reply, bool) {
	switch {
	case len(labels) == 0:
		return nothing(true), true
	case z.known && z.view.Namespace(labels[0]) == nil: // what is restored names no namespaces
		return nothing(false), true
	}
	return nothing(true), len(labels) == 1
}

// pods answers for a-b-c-d.NAMESPACE.pod, which is that address whether or not a Pod has it.
func (z *zone) pods(name string, qtype uint16, labels []string) reply {
	if r, short := z.above(labels); short {
		return r
	}
	ip, err := netip.ParseAddr(strings.ReplaceAll(labels[1], "-", "."))
	if err != nil || len(labels) > 2 {
		return nothing(false)
	}
	return reply{answer: address(name, qtype, ip)}
}

func (z *zone) services(name string, qtype uint16, labels []string) reply {
	if r, short := z.above(labels); short {
		return r
	}
	record := z.view.Service(labels[0], labels[1])
	if record == nil {
		return nothing(false)
	}
	service, ok := record.Object.(*corev1.Service)
	if !ok {
		return nothing(false)
	}
	s := target{zone: z, record: record, service: service, name: labels[1] + "." + labels[0] + ".svc." + z.domain}
	switch rest := labels[2:]; {
	case len(rest) == 0:
		return s.plain(name, qtype)
	case len(rest) == 1 && strings.HasPrefix(rest[0], "_"):
		return nothing(s.hasProtocol(rest[0][1:]))
	case len(rest) == 1:
		return s.endpoint(name, qtype, rest[0])
	case len(rest) == 2 && strings.HasPrefix(rest[0], "_") && strings.HasPrefix(rest[1], "_"):
		return s.port(name, qtype, rest[1][1:], rest[0][1:])
	}
	return nothing(false)
}

// target is one Service being asked about.
type target struct {
	zone    *zone
	record  *state.Record
	service *corev1.Service
	name    string
}

func (s target) headless() bool { return s.service.Spec.ClusterIP == corev1.ClusterIPNone }

func (s target) clusterIPs() []netip.Addr {
	if s.headless() || s.record.Allocation == nil {
		return nil
	}
	var ips []netip.Addr
	for _, text := range s.record.Allocation.ClusterIPs {
		if ip, err := netip.ParseAddr(text); err == nil {
			ips = append(ips, ip)
		}
	}
	return ips
}

func (s target) plain(name string, qtype uint16) reply {
	if s.service.Spec.Type == corev1.ServiceTypeExternalName {
		return s.alias(name)
	}
	if qtype == dns.TypeSRV {
		return s.everyPort(name)
	}
	var r reply
	for _, ip := range s.clusterIPs() {
		r.answer = append(r.answer, address(name, qtype, ip)...)
	}
	if s.headless() {
		found := false
		for e := range s.endpoints() {
			found = true
			r.answer = append(r.answer, address(name, qtype, e.ip)...)
		}
		if !found { // as CoreDNS: a headless Service without endpoints does not resolve
			return nothing(false)
		}
	}
	return r
}

func (s target) alias(name string) reply {
	to := dns.CanonicalName(s.service.Spec.ExternalName)
	return reply{
		answer: []dns.RR{&dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: to}},
		follow: to,
	}
}

// endpoint is one address behind a headless Service.
type endpoint struct {
	ip    netip.Addr
	label string // its hostname, or the address with dashes
	ports []discoveryv1.EndpointPort
}

// endpoints yields the addresses that are ready, each once.
func (s target) endpoints() iter.Seq[endpoint] {
	return func(yield func(endpoint) bool) {
		seen := map[netip.Addr]bool{}
		for r := range s.zone.view.Slices(s.record.Ref.Namespace, s.record.Ref.Name) {
			slice, ok := r.Object.(*discoveryv1.EndpointSlice)
			if !ok {
				continue
			}
			for i := range slice.Endpoints {
				e := endpointOf(slice, &slice.Endpoints[i])
				if !e.ip.IsValid() || seen[e.ip] {
					continue
				}
				seen[e.ip] = true
				if !yield(e) {
					return
				}
			}
		}
	}
}

func endpointOf(slice *discoveryv1.EndpointSlice, e *discoveryv1.Endpoint) endpoint {
	if len(e.Addresses) == 0 || e.Conditions.Ready != nil && !*e.Conditions.Ready {
		return endpoint{}
	}
	ip, err := netip.ParseAddr(e.Addresses[0])
	if err != nil {
		return endpoint{}
	}
	label := strings.NewReplacer(".", "-", ":", "-").Replace(ip.String())
	if e.Hostname != nil && *e.Hostname != "" {
		label = *e.Hostname
	}
	return endpoint{ip: ip, label: label, ports: slice.Ports}
}

func (s target) endpoint(name string, qtype uint16, label string) reply {
	if !s.headless() {
		return nothing(false)
	}
	var r reply
	found := false
	for e := range s.endpoints() {
		if e.label == label {
			found = true
			r.answer = append(r.answer, address(name, qtype, e.ip)...)
		}
	}
	if !found {
		return nothing(false)
	}
	return r
}

func (s target) hasProtocol(protocol string) bool {
	return slices.ContainsFunc(s.service.Spec.Ports, func(p corev1.ServicePort) bool {
		return strings.EqualFold(string(p.Protocol), protocol)
	})
}

// port answers for _PORT._PROTOCOL.SERVICE.
func (s target) port(name string, qtype uint16, port, protocol string) reply {
	var r reply
	found := false
	for i := range s.service.Spec.Ports {
		p := &s.service.Spec.Ports[i]
		if p.Name == port && strings.EqualFold(string(p.Protocol), protocol) {
			found = true
			s.serve(&r, name, p)
		}
	}
	if !found {
		return nothing(false)
	}
	if qtype != dns.TypeSRV {
		return nothing(true)
	}
	return r
}

// everyPort answers SRV for the Service's own name, as CoreDNS does.
func (s target) everyPort(name string) reply {
	var r reply
	for i := range s.service.Spec.Ports {
		s.serve(&r, name, &s.service.Spec.Ports[i])
	}
	return r
}

// serve adds the SRV records of one port with the addresses of their targets.
func (s target) serve(r *reply, name string, p *corev1.ServicePort) {
	srv := func(port uint16, to string, ip netip.Addr) {
		r.answer = append(r.answer, &dns.SRV{Hdr: header(name, dns.TypeSRV), Weight: 100, Port: port, Target: to})
		extra := append(address(to, dns.TypeA, ip), address(to, dns.TypeAAAA, ip)...)
		r.extra = append(r.extra, extra...)
	}
	for _, ip := range s.clusterIPs() {
		srv(uint16(p.Port), s.name, ip)
	}
	if !s.headless() {
		return
	}
	for e := range s.endpoints() {
		for _, ep := range e.ports {
			if ep.Port != nil && ep.Name != nil && *ep.Name == p.Name && (ep.Protocol == nil || *ep.Protocol == p.Protocol) {
				srv(uint16(*ep.Port), e.label+"."+s.name, e.ip)
			}
		}
	}
}

func (z *zone) pointer(name string, qtype uint16, ip netip.Addr) reply {
	names := z.reverse.names(ip)
	r := reply{ours: true}
	switch own := slices.ContainsFunc(z.ranges, func(p netip.Prefix) bool { return p.Contains(ip) }); {
	case len(names) > 0:
	case !own:
		return reply{} // the node's resolvers may know
	case !z.known:
		r.rcode = dns.RcodeServerFailure
		return r
	default:
		r.rcode = dns.RcodeNameError
		return r
	}
	if qtype != dns.TypePTR {
		return r
	}
	for _, n := range names {
		r.answer = append(r.answer, &dns.PTR{Hdr: header(name, dns.TypePTR), Ptr: n + "svc." + z.domain})
	}
	return r
}

// soa goes with answers that hold nothing, so that clients know how long to remember that. It is
// that of the zone a name is in.
func (z *zone) soa(name string) dns.RR {
	owner := z.domain
	if strings.HasSuffix(dns.CanonicalName(name), "."+arpa) {
		owner = arpa
	}
	return &dns.SOA{
		Hdr: header(owner, dns.TypeSOA), Ns: "ns.dns." + z.domain, Mbox: "hostmaster." + z.domain,
		Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl,
	}
}

func header(name string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// address is the A or AAAA record of an address, none if the question is about another type.
func address(name string, qtype uint16, ip netip.Addr) []dns.RR {
	switch {
	case qtype == dns.TypeA && ip.Is4():
		return []dns.RR{&dns.A{Hdr: header(name, dns.TypeA), A: ip.AsSlice()}}
	case qtype == dns.TypeAAAA && ip.Is6():
		return []dns.RR{&dns.AAAA{Hdr: header(name, dns.TypeAAAA), AAAA: ip.AsSlice()}}
	}
	return nil
}

// reverseAddress reads d.c.b.a.in-addr.arpa.
func reverseAddress(name string) (netip.Addr, bool) {
	text, ok := strings.CutSuffix(name, "."+arpa)
	if !ok {
		return netip.Addr{}, false
	}
	parts := strings.Split(text, ".")
	if len(parts) != 4 {
		return netip.Addr{}, false
	}
	var ip [4]byte
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		ip[3-i] = byte(n)
	}
	return netip.AddrFrom4(ip), true
}
