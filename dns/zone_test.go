package dns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// cluster makes Worlds for tests, one Batch after the other.
type cluster struct {
	t     testing.TB
	world *state.World
}

func newCluster(t testing.TB) *cluster {
	c := &cluster{t: t, world: state.NewWorld(uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"))}
	c.apply(state.Batch{Adopt: &state.Adoption{Commit: "c1"}, Puts: []state.Put{
		namespace("shop"), namespace("kube-system"),
		service("shop", "web", "10.96.0.20", port("http", 80, "TCP"), port("", 53, "UDP")),
		service("shop", "db", corev1.ClusterIPNone, port("sql", 5432, "TCP")),
		slice("shop", "db", endpointAt("10.244.0.5", "db-0", true), endpointAt("10.244.0.6", "", true), endpointAt("10.244.0.7", "db-2", false)),
		service("shop", "empty", corev1.ClusterIPNone, port("x", 1, "TCP")),
		{Ref: manifest.ServiceRef("shop", "away"), Origin: state.Authored, Object: &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "away"},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "Example.org"},
		}},
		service("kube-system", "kube-dns", "10.96.0.10", port("dns", 53, "UDP")),
	}})
	return c
}

func (c *cluster) apply(b state.Batch) []state.Change {
	c.t.Helper()
	b.Writer, b.Base, b.Now = state.WriterReconcile, c.world.Revision(), time.Unix(1700000000, 0)
	w, changes, err := state.Apply(c.world, b, c.world.Revision()+1)
	if err != nil {
		c.t.Fatal(err)
	}
	c.world = w
	return changes
}

func (c *cluster) view() state.View { return state.Share(c.world, "n1") }

func namespace(name string) state.Put {
	return state.Put{Ref: manifest.NamespaceRef(name), Origin: state.Builtin, Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}}
}

func port(name string, n int32, protocol corev1.Protocol) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: n, Protocol: protocol}
}

func service(ns, name, ip string, ports ...corev1.ServicePort) state.Put {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: ports},
	}
	if ip == corev1.ClusterIPNone {
		s.Spec.ClusterIP = ip
	}
	return state.Put{
		Ref: manifest.ServiceRef(ns, name), Origin: state.Authored, Object: s,
		Allocation: &state.Allocation{ClusterIPs: []string{ip}},
	}
}

func endpointAt(ip, hostname string, ready bool) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
	if hostname != "" {
		e.Hostname = &hostname
	}
	return e
}

func slice(ns, service string, endpoints ...discoveryv1.Endpoint) state.Put {
	name, protocol, n := "sql", corev1.ProtocolTCP, int32(5432)
	return state.Put{Ref: manifest.EndpointSliceRef(ns, service+"-abc"), Origin: state.Derived, Object: &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: service + "-abc", Labels: map[string]string{"kubernetes.io/service-name": service}},
		Endpoints:  endpoints, Ports: []discoveryv1.EndpointPort{{Name: &name, Protocol: &protocol, Port: &n}},
	}}
}

// text is a reply as it reads on a screen, one record a line.
func text(r reply) string {
	if !r.ours {
		return "not ours"
	}
	lines := []string{dns.RcodeToString[r.rcode]}
	for _, rr := range append(slices.Clone(r.answer), r.extra...) {
		lines = append(lines, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	return strings.Join(lines, "\n")
}

func TestZone_Ask(t *testing.T) {
	z := newZone(newCluster(t).view(), reversed(newCluster(t).view()))
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"web.shop.svc.cluster.local.", dns.TypeA, "NOERROR\nweb.shop.svc.cluster.local. 5 IN A 10.96.0.20"},
		{"web.shop.svc.cluster.local.", dns.TypeAAAA, "NOERROR"},
		{"web.shop.svc.cluster.local.", dns.TypeSRV, "NOERROR\n" +
			"web.shop.svc.cluster.local. 5 IN SRV 0 100 80 web.shop.svc.cluster.local.\n" +
			"web.shop.svc.cluster.local. 5 IN SRV 0 100 53 web.shop.svc.cluster.local.\n" +
			"web.shop.svc.cluster.local. 5 IN A 10.96.0.20\nweb.shop.svc.cluster.local. 5 IN A 10.96.0.20"},
		{"_http._tcp.web.shop.svc.cluster.local.", dns.TypeSRV, "NOERROR\n" +
			"_http._tcp.web.shop.svc.cluster.local. 5 IN SRV 0 100 80 web.shop.svc.cluster.local.\nweb.shop.svc.cluster.local. 5 IN A 10.96.0.20"},
		{"_http._tcp.web.shop.svc.cluster.local.", dns.TypeA, "NOERROR"},
		{"_http._udp.web.shop.svc.cluster.local.", dns.TypeSRV, "NXDOMAIN"},
		{"_tcp.web.shop.svc.cluster.local.", dns.TypeA, "NOERROR"},
		{"x.web.shop.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"web.other.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"nosuch.shop.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"shop.svc.cluster.local.", dns.TypeA, "NOERROR"},
		{"svc.cluster.local.", dns.TypeA, "NOERROR"},
		{"cluster.local.", dns.TypeA, "NOERROR"},
		{"db.shop.svc.cluster.local.", dns.TypeA, "NOERROR\ndb.shop.svc.cluster.local. 5 IN A 10.244.0.5\ndb.shop.svc.cluster.local. 5 IN A 10.244.0.6"},
		{"db-0.db.shop.svc.cluster.local.", dns.TypeA, "NOERROR\ndb-0.db.shop.svc.cluster.local. 5 IN A 10.244.0.5"},
		{"10-244-0-6.db.shop.svc.cluster.local.", dns.TypeA, "NOERROR\n10-244-0-6.db.shop.svc.cluster.local. 5 IN A 10.244.0.6"},
		{"db-2.db.shop.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"_sql._tcp.db.shop.svc.cluster.local.", dns.TypeSRV, "NOERROR\n" +
			"_sql._tcp.db.shop.svc.cluster.local. 5 IN SRV 0 100 5432 db-0.db.shop.svc.cluster.local.\n" +
			"_sql._tcp.db.shop.svc.cluster.local. 5 IN SRV 0 100 5432 10-244-0-6.db.shop.svc.cluster.local.\n" +
			"db-0.db.shop.svc.cluster.local. 5 IN A 10.244.0.5\n10-244-0-6.db.shop.svc.cluster.local. 5 IN A 10.244.0.6"},
		{"empty.shop.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"away.shop.svc.cluster.local.", dns.TypeA, "NOERROR\naway.shop.svc.cluster.local. 5 IN CNAME example.org."},
		{"10-244-0-5.shop.pod.cluster.local.", dns.TypeA, "NOERROR\n10-244-0-5.shop.pod.cluster.local. 5 IN A 10.244.0.5"},
		{"10-244-0.shop.pod.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"10-244-0-5.other.pod.cluster.local.", dns.TypeA, "NXDOMAIN"},
		{"dns-version.cluster.local.", dns.TypeTXT, "NOERROR\ndns-version.cluster.local. 5 IN TXT \"1.1.0\""},
		{"20.0.96.10.in-addr.arpa.", dns.TypePTR, "NOERROR\n20.0.96.10.in-addr.arpa. 5 IN PTR web.shop.svc.cluster.local."},
		{"5.0.244.10.in-addr.arpa.", dns.TypePTR, "NOERROR\n5.0.244.10.in-addr.arpa. 5 IN PTR db-0.db.shop.svc.cluster.local."},
		{"7.0.244.10.in-addr.arpa.", dns.TypePTR, "NXDOMAIN"},
		{"99.0.96.10.in-addr.arpa.", dns.TypePTR, "NXDOMAIN"},
		{"7.2.0.192.in-addr.arpa.", dns.TypePTR, "not ours"},
		{"example.org.", dns.TypeA, "not ours"},
		{"notcluster.local.", dns.TypeA, "not ours"},
	} {
		if got := text(z.ask(c.name, c.qtype)); got != c.want {
			t.Errorf("%s %s:\n%s\nwant:\n%s", c.name, dns.TypeToString[c.qtype], got, c.want)
		}
	}
}

func TestZone_UnknownWorld(t *testing.T) {
	c := &cluster{t: t, world: state.NewWorld(uuid.New())}
	z := newZone(c.view(), reversed(c.view()))
	for _, name := range []string{"web.shop.svc.cluster.local.", "x.cluster.local.", "cluster.local."} {
		if got := text(z.ask(name, dns.TypeA)); got != "SERVFAIL" {
			t.Errorf("%s while nothing is adopted: %s, want SERVFAIL", name, got)
		}
	}
	c.apply(state.Batch{Puts: []state.Put{
		func() state.Put { p := service("shop", "web", "10.96.0.20"); p.Origin = state.Restored; return p }(),
	}})
	z = newZone(c.view(), reversed(c.view()))
	if got, want := text(z.ask("web.shop.svc.cluster.local.", dns.TypeA)), "NOERROR\nweb.shop.svc.cluster.local. 5 IN A 10.96.0.20"; got != want {
		t.Errorf("a restored service: %s, want %s", got, want)
	}
	if got := text(z.ask("web.shop.svc.cluster.local.", dns.TypeAAAA)); got != "NOERROR" {
		t.Errorf("IPv6 of a restored service: %s, want NOERROR and nothing", got)
	}
	if got := text(z.ask("other.shop.svc.cluster.local.", dns.TypeAAAA)); got != "SERVFAIL" {
		t.Errorf("IPv6 of what may yet come: %s, want SERVFAIL", got)
	}
}

// The index that follows changes equals the one computed anew, after each of many changes.
func TestBoard_StepEqualsReset(t *testing.T) {
	c := newCluster(t)
	var b board
	b.reset(c.view())
	steps := []state.Batch{
		{Puts: []state.Put{slice("shop", "db", endpointAt("10.244.0.5", "db-0", true))}},
		{Puts: []state.Put{slice("shop", "empty", endpointAt("10.244.0.9", "", true))}},
		{Adopt: &state.Adoption{Commit: "c2"}, Puts: []state.Put{service("shop", "web", "10.96.0.21", port("http", 80, "TCP"))}},
		{Adopt: &state.Adoption{Commit: "c3"}, Deletes: []state.Delete{{Ref: manifest.ServiceRef("shop", "db")}}},
		{Deletes: []state.Delete{{Ref: manifest.EndpointSliceRef("shop", "db-abc")}}},
		{Adopt: &state.Adoption{Commit: "c4"}, Puts: []state.Put{namespace("new"), service("new", "a", "10.96.0.40")}},
	}
	for i, batch := range steps {
		changes := c.apply(batch)
		b.step(c.view(), changes)
		got, want := dump(b.current.Load().zone.reverse), dump(reversed(c.view()))
		if got != want {
			t.Fatalf("after step %d:\n%s\nwant:\n%s", i, got, want)
		}
	}
	before := b.current.Load()
	changes := c.apply(state.Batch{Puts: []state.Put{{Ref: manifest.ServiceRef("new", "a"), Status: &corev1.ServiceStatus{}}}})
	b.step(c.view(), changes)
	if b.current.Load() != before {
		t.Error("a status made a new snapshot, which throws the packed answers away")
	}
}

func dump(r reverse) string {
	var b strings.Builder
	r.tree.Root().Walk(func(k []byte, v string) bool {
		fmt.Fprintf(&b, "%q %s\n", k, v)
		return false
	})
	return b.String()
}
