//go:build kernel

package network

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

const benchServices = 10_000

// manyServices is a World with services of three endpoints each.
func manyServices(b *testing.B) *fakeFeed {
	f := newFeed(b)
	puts := []state.Put{nodePut("10.244.0.0/20")} // as a node that is alone has it
	for i := range uint32(benchServices) {
		name := fmt.Sprintf("s%d", i)
		ip := addrAt(netip.MustParsePrefix(defaultServiceRange), 100+i).String()
		puts = append(puts, service{name: name, ip: ip, ports: tcp(80)}.put(), benchSlice(name, i, 0))
	}
	f.put(puts...)
	return f
}

func benchSlice(name string, i, shift uint32) state.Put {
	pods := netip.MustParsePrefix(defaultPodRange)
	return slice(name, name+"-1", corev1.ProtocolTCP, 8080, ready(
		addrAt(pods, 1000+i*4), addrAt(pods, 1001+i*4), addrAt(pods, 1002+i*4+shift))...)
}

// benchNetwork is a node of which no loop takes care, and a World with many services.
func benchNetwork(b *testing.B) (*fakeFeed, *Network) {
	b.Helper()
	f, bed := manyServices(b), newBed(b)
	bed.stop()
	n, err := New(bed.cfg, bed.n.log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.Close() })
	return f, n
}

// benchLoaded writes the World's services to the kernel.
func benchLoaded(b *testing.B, f *fakeFeed, n *Network) Ruleset {
	b.Helper()
	rs, err := Compile(state.Share(f.World(), self), nil)
	if err == nil {
		_, err = n.table.set(rs)
	}
	if err != nil {
		b.Fatal(err)
	}
	return rs
}

// BenchmarkServices_Load takes 10,000 services with 3 endpoints each from the World to the kernel.
func BenchmarkServices_Load(b *testing.B) {
	f, n := benchNetwork(b)
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		if err := n.table.remove(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		rs, err := Compile(state.Share(f.World(), self), nil)
		if err != nil {
			b.Fatal(err)
		}
		if wrote, err := n.table.set(rs); err != nil || !wrote {
			b.Fatalf("load: wrote %v, %v", wrote, err)
		}
	}
}

// BenchmarkServices_Change changes one endpoint among 10,000 services, World to kernel.
func BenchmarkServices_Change(b *testing.B) {
	f, n := benchNetwork(b)
	rs := benchLoaded(b, f, n)
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		f.changes = nil
		f.put(benchSlice("s77", 77, uint32(1+i%2)))
		changes, view := f.changes, state.Share(f.World(), self)
		b.StartTimer()
		next, deltas, err := Update(rs, view, changes, nil)
		if err != nil || len(deltas) != 1 {
			b.Fatalf("update: %d deltas, %v, want one", len(deltas), err)
		}
		if err := n.table.apply(deltas); err != nil {
			b.Fatal(err)
		}
		rs = next
	}
}

// BenchmarkServices_Verify compares 10,000 services with the kernel when nothing differs: what a
// restart and every suspicion cost.
func BenchmarkServices_Verify(b *testing.B) {
	f, n := benchNetwork(b)
	rs := benchLoaded(b, f, n)
	for b.Loop() {
		if wrote, err := n.table.set(rs); err != nil || wrote {
			b.Fatalf("verify: wrote %v, %v", wrote, err)
		}
	}
}

func BenchmarkAttach(b *testing.B) {
	bed := newBed(b)
	began := cpu()
	defer func() { b.ReportMetric((cpu()-began).Seconds()*1000/float64(b.N), "cpu-ms/attach+detach") }()
	b.ResetTimer()
	for i := range b.N {
		if _, _, err := bed.n.Attach(b.Context(), uidOf(i), "default", "p"); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if i%100 == 99 { // addresses rest for a minute: begin with a pool of full size
			bed.reset(i)
		}
		b.StartTimer()
	}
}

// reset detaches what was attached lately and lets the addresses be used again at once.
func (b *bed) reset(last int) {
	for i := max(0, last-99); i <= last; i++ {
		if err := b.n.Detach(b.t.Context(), uidOf(i)); err != nil {
			b.t.Fatal(err)
		}
	}
	b.n.pool.mu.Lock()
	defer b.n.pool.mu.Unlock()
	clear(b.n.pool.taken)
	b.n.pool.resting, b.n.pool.free, b.n.pool.fresh = nil, nil, 1
}

// cpu is what the process has used, with what its loop did meanwhile: on a busy machine it says more
// than the time that passed.
func cpu() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
