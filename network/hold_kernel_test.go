//go:build kernel

package network

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// settling is a runtime that has just started and looks at one pod after the other.
type settling struct {
	mu   sync.Mutex
	pods map[string]bool
	next chan struct{}
}

func newSettling(pods ...*testPod) *settling {
	s := &settling{pods: map[string]bool{}, next: make(chan struct{})}
	for _, p := range pods {
		s.pods[p.uid] = true
	}
	return s
}

func (s *settling) tell() (map[string]bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.pods), s.next
}

func (s *settling) look(p *testPod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, p.uid)
	close(s.next)
	s.next = make(chan struct{})
}

// attachPod attaches a Pod of the World.
func (b *bed) attachPod(name string) *testPod {
	b.t.Helper()
	b.feed.put(podPut(name, self, nil))
	return b.attachAs(string(b.feed.World().Get(manifest.PodRef("default", name)).UID), name)
}

// targets is where the kernel leads connections to the test's Service.
func (b *bed) targets() string {
	b.t.Helper()
	b.n.tableMu.Lock()
	defer b.n.tableMu.Unlock()
	all, err := b.n.table.targets()
	if err != nil {
		b.t.Fatal(err)
	}
	list := all[Key{Addr: netip.MustParseAddr(vip), Proto: unix.IPPROTO_TCP, Port: 80}]
	slices.SortFunc(list, netip.AddrPort.Compare)
	return fmt.Sprint(list)
}

func targetList(pods ...*testPod) string {
	list := []string{}
	for _, p := range pods {
		list = append(list, p.ip.String()+":8080")
	}
	return "[" + strings.Join(list, " ") + "]"
}

// step lets the loop take what was put, and no more than that.
func (b *bed) step() {
	b.t.Helper()
	ref := manifest.PodRef("default", "marker")
	b.settled(b.feed.put(podPut("marker", self, &state.Deletion{At: time.Unix(1_700_000_000, 0)})))
	b.feed.remove(ref)
}

func webSlice(endpoints ...endpoint) state.Put {
	return slice("web", "web-1", corev1.ProtocolTCP, 8080, endpoints...)
}

func notReady(pods ...*testPod) []endpoint {
	var out []endpoint
	for _, p := range pods {
		out = append(out, endpoint{ip: p.ip.String(), state: "notready"})
	}
	return out
}

func (b *bed) expectTargets(what string, pods ...*testPod) {
	b.t.Helper()
	if got, want := b.targets(), targetList(pods...); got != want {
		b.t.Errorf("%s: kernel leads to %s, want %s", what, got, want)
	}
}

// TestHold_StaleReadiness: a daemon was killed before what it saw last was stored. The next one keeps
// the routes of a pod until it has looked at it, and of no pod that is to go.
func TestHold_StaleReadiness(t *testing.T) {
	b := newBed(t)
	one, two, going := b.attachPod("one"), b.attachPod("two"), b.attachPod("going")
	client := b.attachPod("client")
	b.serve(one.ns, ":8080", "one")
	b.serve(two.ns, ":8080", "two")
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80)}.put(), webSlice(ready(one.ip, two.ip, going.ip)...)))
	b.expectTargets("before", one, two, going)
	b.stop()
	b.feed.put(webSlice(notReady(one, two, going)...),
		podPut("going", self, &state.Deletion{At: time.Unix(1_700_000_000, 0), Grace: 30}))
	s := newSettling(one, two, going, client)
	b.cfg.Settling = s.tell
	b.start()
	b.expectTargets("before anybody looked", one, two)
	for range 10 {
		if got := b.ask(client.ns, "tcp", vip+":80"); !strings.HasSuffix(got, " "+client.ip.String()) {
			t.Fatalf("ask while nobody has looked: got %q, want an answer", got)
		}
	}
	s.look(one) // it is not ready indeed
	b.step()
	b.expectTargets("one was looked at", two)

	status := &corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	b.feed.apply(state.Batch{Writer: state.NodeWriter(self), Puts: []state.Put{{Ref: manifest.PodRef("default", "two"), Status: status}}})
	s.look(two) // it is ready: its endpoint is on its way
	b.step()
	b.expectTargets("two was looked at", two)
	b.feed.put(webSlice(ready(two.ip)...)) // nothing to write, so nothing to acknowledge
	b.step()
	b.expectTargets("the endpoint is there", two)
	b.settled(b.feed.put(webSlice(notReady(two)...)))
	b.expectTargets("two is known, and not ready any more")
	b.expect(client.ns, "tcp", vip+":80", "refused")
}

// TestHold_Bounded: what nobody looks at is not kept for long, and what comes is routed at once.
func TestHold_Bounded(t *testing.T) {
	b := newBed(t)
	one := b.attachPod("one")
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80)}.put(), webSlice(ready(one.ip)...)))
	b.stop()
	b.feed.put(webSlice(notReady(one)...))
	b.cfg.Settling, b.limit = newSettling(one).tell, 2*time.Second
	b.start()
	two := b.attachPod("two")
	b.settled(b.feed.put(webSlice(append(notReady(one), ready(two.ip)...)...)))
	b.expectTargets("within the limit", one, two)
	b.eventually("the kernel leads to the second only", func() bool { return b.targets() == targetList(two) })
}

// TestHold_ServiceGone: a Service that was deleted meanwhile takes its routes with it.
func TestHold_ServiceGone(t *testing.T) {
	b := newBed(t)
	one := b.attachPod("one")
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80)}.put(), webSlice(ready(one.ip)...)))
	b.stop()
	b.feed.remove(manifest.ServiceRef("default", "web"))
	b.cfg.Settling = newSettling(one).tell
	b.start()
	b.expectTargets("after the start")
	b.holds("after the start")
}
