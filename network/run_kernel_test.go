//go:build kernel

package network

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

func TestRun_AcknowledgesOnlyWhatMatters(t *testing.T) {
	b := newBed(t)
	one := b.attach(1)
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80)}.put(),
		slice("web", "web-1", corev1.ProtocolTCP, 8080, ready(one.ip)...),
		podPut("web-1", self, nil), podPut("elsewhere", "other", nil)))
	_, before := b.feed.acked()
	// Neither pods that stay nor pods of other nodes nor the node's own acknowledgement are answered.
	b.feed.put(podPut("another", self, nil))
	b.feed.put(podPut("elsewhere", "other", &state.Deletion{At: time.Unix(1_700_000_000, 0)}))
	b.feed.put(slice("none", "none-1", corev1.ProtocolTCP, 8080, ready(one.ip)...))
	// A pod that is in no Service waits all the same.
	rev := b.feed.put(podPut("another", self, &state.Deletion{At: time.Unix(1_700_000_000, 0), Grace: 30}))
	b.settled(rev)
	if got, n := b.feed.acked(); n != before+1 || got != rev {
		t.Errorf("acknowledged %s as number %d, want %s as number %d", got, n, rev, before+1)
	}
	deadline := time.After(200 * time.Millisecond)
	<-deadline
	if _, n := b.feed.acked(); n != before+1 {
		t.Errorf("acknowledgements: %d, want %d: nothing has changed", n, before+1)
	}
	// The deletion and the endpoint go in one Batch, and are routed when they are acknowledged.
	rev = b.feed.put(podPut("web-1", self, &state.Deletion{At: time.Unix(1_700_000_000, 0), Grace: 30}),
		slice("web", "web-1", corev1.ProtocolTCP, 8080))
	b.settled(rev)
	b.expect(one.ns, "tcp", vip+":80", "refused")
}

func TestRun_RetriesAndTellsTrouble(t *testing.T) {
	b := newBed(t)
	one := b.attach(1)
	b.feed.mu.Lock()
	b.feed.failing = errors.New("not the leader")
	b.feed.mu.Unlock()
	rev := b.feed.put(service{name: "web", ip: vip, ports: tcp(80)}.put(), slice("web", "a", corev1.ProtocolTCP, 80, ready(one.ip)...))
	b.eventually("trouble is told", func() bool { return strings.Contains(b.n.Trouble(), "not the leader") })
	b.feed.mu.Lock()
	b.feed.failing = nil
	b.feed.mu.Unlock()
	b.settled(rev)
	b.eventually("trouble is over", func() bool { return b.n.Trouble() == "" })
}

func TestRun_BeginsAnewWhenChangesAreLost(t *testing.T) {
	b := newBed(t)
	one, client := b.attach(1), b.attach(2)
	b.serve(one.ns, ":80", "one")
	b.feed.mu.Lock()
	b.feed.forget = true
	b.feed.mu.Unlock()
	b.settled(b.feed.put(service{name: "web", ip: vip, ports: tcp(80)}.put(), slice("web", "a", corev1.ProtocolTCP, 80, ready(one.ip)...)))
	b.expect(client.ns, "tcp", vip+":80", "one "+client.ip.String())
	b.settled(b.feed.remove(manifest.ServiceRef("default", "web")))
	b.expect(client.ns, "tcp", vip+":80", "refused")
}

// TestRun_KernelFollowsHistory lets the loop follow random histories, with restarts in between.
func TestRun_KernelFollowsHistory(t *testing.T) {
	t.Run("services and ranges", func(t *testing.T) {
		b := newBed(t)
		b.follow(&history{f: b.feed, r: rand.New(rand.NewPCG(7, 7))}, 40)
	})
	t.Run("services and host ports", func(t *testing.T) {
		b := newBed(t)
		b.follow(&history{f: b.feed, r: rand.New(rand.NewPCG(7, 8)), attach: b.attachOrDetach, fixed: true}, 40)
	})
}

func (b *bed) follow(h *history, rounds int) {
	for round := range rounds {
		for range 1 + h.r.IntN(8) {
			h.step()
		}
		rev := b.feed.put(podPut("marker", self, &state.Deletion{At: time.Unix(1_700_000_000, 0)}))
		b.settled(rev)
		b.feed.remove(manifest.PodRef("default", "marker"))
		if round%10 == 9 {
			b.stop()
			h.step()
			b.start()
		}
		b.holds(fmt.Sprintf("round %d", round))
	}
}

// attachOrDetach does it to a Pod that there is, while there is a daemon.
func (b *bed) attachOrDetach(name string, on bool) {
	r := b.feed.World().Get(manifest.PodRef("default", name))
	switch {
	case r == nil || b.stopped:
	case on:
		b.attachAs(string(r.UID), name)
	default:
		if err := b.n.Detach(b.t.Context(), string(r.UID)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// holds compares the elements in the kernel with those of the ruleset compiled anew.
func (b *bed) holds(when string) {
	b.t.Helper()
	var problem string
	defer func() {
		if problem != "" {
			b.t.Log(problem)
		}
	}()
	b.eventually(when+": kernel holds the ruleset", func() bool {
		rs, err := Compile(b.view(), b.n.addressOf)
		if err != nil {
			b.t.Fatal(err)
		}
		b.n.tableMu.Lock()
		defer b.n.tableMu.Unlock()
		problem = ""
		want := b.n.table.content(rs)
		for i := range mapCount {
			have, err := b.n.table.elements(i)
			if err != nil {
				b.t.Fatal(err)
			}
			deletes, adds := difference(have, want[i])
			if i == setHairpin {
				deletes = strangers(rs.Ranges.Node, deletes)
			}
			if len(deletes)+len(adds) > 0 {
				problem = fmt.Sprintf("%s has %d elements too many and lacks %d", mapNames[i], len(deletes), len(adds))
			}
		}
		return problem == ""
	})
}

func TestCheckRanges_NamesTheRoute(t *testing.T) {
	b := newBed(t)
	b.attach(1)
	r := Ranges{}
	b.n.mu.Lock()
	r = b.n.ranges
	b.n.mu.Unlock()
	if err := b.n.CheckRanges(r.Pods, r.Services); err != nil {
		t.Errorf("ranges in use: %v, want them to be free of clashes", err)
	}
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for dst, want := range map[string]string{
		"10.244.3.0/24": "pod range 10.244.0.0/16 clashes with route 10.244.3.0/24 of the node (dev eth0): choose another range in writ.yaml",
		"10.64.0.0/10":  "service range 10.96.0.0/16 clashes with route 10.64.0.0/10 of the node (dev eth0): choose another range in writ.yaml",
		"0.0.0.0/1":     "<nil>",
	} {
		n, err := netlink.ParseIPNet(dst)
		if err != nil {
			t.Fatal(err)
		}
		route := &netlink.Route{Dst: n, LinkIndex: link.Attrs().Index}
		if err := netlink.RouteAdd(route); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(b.n.CheckRanges(r.Pods, r.Services)); got != want {
			t.Errorf("check with route %s: got %q, want %q", dst, got, want)
		}
		if err := netlink.RouteDel(route); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTwoNodes_OneNamespace runs two daemons with ranges of their own side by side.
func TestTwoNodes_OneNamespace(t *testing.T) {
	b := newBed(t)
	dir := t.TempDir()
	other := &bed{t: t, node: b.node, outside: b.outside, cfg: Config{Node: self, DataDir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run")}}
	other.feed = newFeed(t)
	other.feed.adopt(manifest.ClusterSpec{PodCIDR: "10.245.0.0/16", ServiceCIDR: "10.97.0.0/16"}, nodePut("10.245.0.0/24"))
	other.start()
	one, two := b.attach(1), other.attach(1)
	for _, x := range []struct {
		b  *bed
		p  *testPod
		ip string
	}{{b, one, vip}, {other, two, "10.97.0.50"}} {
		x.b.serve(x.p.ns, ":8080", x.ip)
		x.b.settled(x.b.feed.put(service{name: "web", ip: x.ip, ports: tcp(80), nodePort: 30000 + int32(x.p.ip.As4()[1])}.put(),
			slice("web", "a", corev1.ProtocolTCP, 8080, ready(x.p.ip)...)))
	}
	b.expect(b.outside, "tcp", nodeAddress+":30244", vip+" "+outsideAddress)
	b.expect(b.outside, "tcp", nodeAddress+":30245", "10.97.0.50 "+outsideAddress)
	other.stop()
	n, err := New(other.cfg, b.n.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.Down(context.Background()), n.Close()); err != nil {
		t.Fatal(err)
	}
	b.eventually("forwarding is on", func() bool { v, err := readSysctl(forwarding); return err == nil && v == "1" })
	b.expect(one.ns, "tcp", vip+":80", vip+" "+gateway.String())
	b.expect(b.outside, "tcp", nodeAddress+":30244", vip+" "+outsideAddress)
}
