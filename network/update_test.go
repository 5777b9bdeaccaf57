package network

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// history does random things to a few services: ports and addresses are so few that they collide.
type history struct {
	f     *fakeFeed
	r     *rand.Rand
	ips   map[string]string // of pods that are attached, where nothing attaches
	moved []manifest.Ref

	attach func(name string, on bool) // nil: no pods with host ports
	fixed  bool                       // the range of the node stays
}

// pretend attaches and detaches pods without a network.
func (h *history) pretend(name string, on bool) {
	delete(h.ips, name)
	if on {
		h.ips[name] = fmt.Sprintf("10.244.0.%d", 2+h.r.IntN(6))
	}
	h.moved = append(h.moved, manifest.PodRef("default", name))
}

// podStep does something random to a pod with host ports.
func (h *history) podStep() {
	i := h.r.IntN(4)
	name := fmt.Sprintf("pod-%d", i)
	switch h.r.IntN(4) {
	case 0:
		h.drop(manifest.PodRef("default", name))
	case 1:
		h.attach(name, true)
	case 2:
		h.attach(name, false)
	default:
		p := portPod(i, hostPort(int32(30000+h.r.IntN(3)), 80, []corev1.Protocol{tcpProto, udpProto}[h.r.IntN(2)], []string{"", "0.0.0.0", "192.0.2.1"}[h.r.IntN(3)]))
		p.Object.(*corev1.Pod).Spec.HostNetwork = i >= 2
		h.f.put(p)
	}
}

func (h *history) step() {
	if h.attach != nil && h.r.IntN(4) == 0 {
		h.podStep()
		return
	}
	name := fmt.Sprintf("s%d", h.r.IntN(6))
	proto := []corev1.Protocol{tcpProto, udpProto}[h.r.IntN(2)]
	switch h.r.IntN(8) {
	case 0:
		h.drop(manifest.ServiceRef("default", name))
	case 1:
		h.drop(manifest.EndpointSliceRef("default", fmt.Sprintf("x%d", h.r.IntN(9))))
	case 2:
		h.f.put(podPut(name, self, nil))
	case 3:
		if !h.fixed && h.r.IntN(4) == 0 {
			h.f.put(nodePut(fmt.Sprintf("10.244.%d.0/24", h.r.IntN(3))))
		}
	case 4, 5:
		s := service{name: name, ip: fmt.Sprintf("10.96.0.%d", 50+h.r.IntN(4)), ports: ports(proto, int32(80+h.r.IntN(2)))}
		if h.r.IntN(2) == 0 {
			s.nodePort = int32(30000 + h.r.IntN(3))
		}
		s.sticky = int32(h.r.IntN(3) * 10)
		h.f.put(s.put())
	default:
		var list []endpoint
		for range h.r.IntN(5) {
			list = append(list, endpoint{
				ip:    fmt.Sprintf("10.244.0.%d", 2+h.r.IntN(6)),
				state: []string{"", "", "notready", "terminating"}[h.r.IntN(4)],
			})
		}
		h.f.put(slice(name, fmt.Sprintf("x%d", h.r.IntN(9)), proto, int32(8080+h.r.IntN(2)), list...))
	}
}

func (h *history) drop(ref manifest.Ref) {
	if h.f.World().Get(ref) != nil {
		h.f.remove(ref)
	}
}

// held is what the kernel holds after deltas, as their element writes would leave it.
type held [mapCount]map[string]string

func (k *held) write(t *testing.T, deltas []Delta) {
	t.Helper()
	var was, is content
	for _, d := range deltas {
		if d.Old != nil {
			was.add(d.Old)
		}
		if d.New != nil {
			is.add(d.New)
		}
	}
	for i := range k {
		deletes, adds := difference(indexed(was[i]), is[i])
		for _, e := range deletes {
			if k[i][e.key] != e.val {
				t.Fatalf("delete element %x of %s: the kernel has %q, want %q", e.key, mapNames[i], k[i][e.key], e.val)
			}
			delete(k[i], e.key)
		}
		for _, e := range adds {
			if _, ok := k[i][e.key]; ok {
				t.Fatalf("add element %x of %s: it is there", e.key, mapNames[i])
			}
			k[i][e.key] = e.val
		}
	}
}

func TestUpdate_EqualsCompile(t *testing.T) {
	for seed := range uint64(20) {
		h := &history{f: newFeed(t), r: rand.New(rand.NewPCG(seed, 1)), ips: map[string]string{}}
		h.attach = h.pretend
		at := leasesOf(h.f, h.ips)
		rs, err := Compile(state.Share(h.f.World(), self), at)
		if err != nil {
			t.Fatal(err)
		}
		seen := h.f.World().Revision()
		var kernel held
		for i := range kernel {
			kernel[i] = map[string]string{}
		}
		for step := range 250 {
			for range 1 + h.r.IntN(3) {
				h.step()
			}
			before := rs.String()
			changes, w, _ := h.f.Since(seen)
			view := state.Share(w, self)
			next, deltas, err := Update(rs, view, changes, at, h.moved...)
			if err != nil {
				t.Fatal(err)
			}
			h.moved = nil
			full, err := Compile(view, at)
			if err != nil {
				t.Fatal(err)
			}
			if next.String() != full.String() {
				t.Fatalf("seed %d step %d: updated:\n%s\ncompiled:\n%s", seed, step, next, full)
			}
			if got, want := text(deltas), text(Diff(rs, next)); got != want {
				t.Fatalf("seed %d step %d: deltas:\n%s\nwant:\n%s", seed, step, got, want)
			}
			if rs.String() != before {
				t.Fatalf("seed %d step %d: Update changed its argument", seed, step)
			}
			kernel.write(t, deltas)
			want := contentOf(full)
			for i := range kernel {
				if deletes, adds := difference(indexed(want[i]), entriesOf(kernel[i])); len(deletes)+len(adds) > 0 {
					t.Fatalf("seed %d step %d: %s lacks %v and has %v too many", seed, step, mapNames[i], deletes, adds)
				}
			}
			rs, seen = next, w.Revision()
		}
	}
}

func entriesOf(m map[string]string) []entry {
	var out []entry
	for key, val := range m {
		out = append(out, entry{key, val})
	}
	return out
}

func text(deltas []Delta) string {
	var lines []string
	for _, d := range deltas {
		lines = append(lines, d.String())
	}
	return strings.Join(lines, "\n")
}

func TestUpdate_EqualInputWritesNothing(t *testing.T) {
	f := newFeed(t)
	put := []state.Put{
		service{name: "web", ip: "10.96.0.50", ports: tcp(80), sticky: 10, nodePort: 30080}.put(),
		slice("web", "a", tcpProto, 8080, endpoint{ip: "10.244.0.7"}),
		nodePut("10.244.0.0/24"),
	}
	f.put(put...)
	rs, err := Compile(state.Share(f.World(), self), nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := f.World().Revision()
	f.put(put...)
	f.put(podPut("p", self, nil))
	changes, w, _ := f.Since(seen)
	next, deltas, err := Update(rs, state.Share(w, self), changes, nil)
	if err != nil || len(deltas) > 0 || next.String() != rs.String() {
		t.Errorf("update by equal objects: %q, %v, want nothing", text(deltas), err)
	}
}

func TestDelta_OneEndpointIsFewElements(t *testing.T) {
	f := newFeed(t)
	web := service{name: "web", ip: "10.96.0.50", ports: tcp(80)}.put()
	f.put(web, slice("web", "a", tcpProto, 8080, endpoint{ip: "10.244.0.1"}, endpoint{ip: "10.244.0.2"}, endpoint{ip: "10.244.0.3"}))
	rs, _ := Compile(state.Share(f.World(), self), nil)
	seen := f.World().Revision()
	f.put(slice("web", "a", tcpProto, 8080, endpoint{ip: "10.244.0.1"}, endpoint{ip: "10.244.0.2"}, endpoint{ip: "10.244.0.4"}))
	changes, w, _ := f.Since(seen)
	_, deltas, err := Update(rs, state.Share(w, self), changes, nil)
	if err != nil || len(deltas) != 1 {
		t.Fatalf("update: %q, %v, want one delta", text(deltas), err)
	}
	var was, is content
	was.add(deltas[0].Old)
	is.add(deltas[0].New)
	writes := 0
	for i := range was {
		deletes, adds := difference(indexed(was[i]), is[i])
		writes += len(deletes) + len(adds)
	}
	if writes != 2 {
		t.Errorf("elements written for one endpoint exchanged: %d, want 2", writes)
	}
}

func TestStaleOf(t *testing.T) {
	f := newFeed(t)
	f.put(service{name: "u", ip: "10.96.0.50", ports: udp(80)}.put(), slice("u", "a", udpProto, 8080, endpoint{ip: "10.244.0.1"}, endpoint{ip: "10.244.0.2"}),
		service{name: "t", ip: "10.96.0.51", ports: tcp(80)}.put(), slice("t", "b", tcpProto, 8080, endpoint{ip: "10.244.0.1"}))
	rs, _ := Compile(state.Share(f.World(), self), nil)
	seen := f.World().Revision()
	f.put(slice("u", "a", udpProto, 8080, endpoint{ip: "10.244.0.2"}), slice("t", "b", tcpProto, 8080))
	changes, w, _ := f.Since(seen)
	_, deltas, err := Update(rs, state.Share(w, self), changes, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(staleOf(deltas).serve)
	if want := "map[udp/10.96.0.50:80:map[10.244.0.2:8080:true]]"; got != want {
		t.Errorf("stale flows: got %s, want %s: those to the first endpoint and none of TCP", got, want)
	}
}
