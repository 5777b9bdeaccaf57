//go:build kernel

package network

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestHairpin_LargeRange: the table grows with the addresses that are used, and a later daemon knows.
func TestHairpin_LargeRange(t *testing.T) {
	b := newBed(t)
	b.feed.put(nodePut("10.244.0.0/20"))
	b.step()
	first := b.attach(1)
	b.n.pool.mu.Lock()
	b.n.pool.fresh = 3000
	b.n.pool.mu.Unlock()
	far := b.attach(2)
	if far.ip.String() != "10.244.11.184" {
		t.Fatalf("address: got %s, want 10.244.11.184", far.ip)
	}
	for i, p := range []*testPod{first, far} {
		ip := []string{vip, "10.96.0.51"}[i]
		b.serve(p.ns, ":8080", ip)
		b.settled(b.feed.put(service{name: ip, ip: ip, ports: tcp(80)}.put(), slice(ip, ip, corev1.ProtocolTCP, 8080, ready(p.ip)...)))
		b.expect(p.ns, "tcp", ip+":80", ip+" "+gateway.String())
	}
	b.stop()
	b.start()
	b.expect(far.ns, "tcp", "10.96.0.51:80", "10.96.0.51 "+gateway.String())
	rs, err := Compile(b.view(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.n.tableMu.Lock()
	defer b.n.tableMu.Unlock()
	if wrote, err := b.n.table.set(rs); err != nil || wrote {
		t.Errorf("set the same again: wrote %v, %v, want nothing to differ", wrote, err)
	}
	if have, err := b.n.table.elements(setHairpin); err != nil || len(have) != 3072 {
		t.Errorf("hairpin set: %d elements, %v, want 3072: as far as the addresses reach", len(have), err)
	}
}

// TestAttach_Exhausted: who finds no address is told when to come again.
func TestAttach_Exhausted(t *testing.T) {
	b := newBed(t)
	b.feed.put(nodePut("10.244.0.0/30"))
	b.step()
	b.attach(1)
	b.detach(b.attach(2))
	_, _, err := b.n.Attach(context.Background(), uidOf(3), "default", "pod-3")
	var e *ExhaustedError
	if !errors.As(err, &e) {
		t.Fatalf("attach: %v, want an ExhaustedError", err)
	}
	if after := e.RetryAfter(); after > quarantine || after < quarantine-10*time.Second {
		t.Errorf("retry after %s, want the rest of a minute", after)
	}
	if e.Used != 1 || e.Resting != 1 || e.Range.String() != "10.244.0.0/30" {
		t.Errorf("error: %v, want 1 in use and 1 resting of 10.244.0.0/30", e)
	}
	if _, _, err := b.n.Attach(context.Background(), uidOf(4), "default", "pod-4"); !errors.As(err, &e) {
		t.Fatalf("attach another: %v, want an ExhaustedError", err)
	}
	if err := b.n.Detach(context.Background(), uidOf(3)); err != nil { // it is deleted while it waits
		t.Fatal(err)
	}
	b.n.pool.mu.Lock()
	defer b.n.pool.mu.Unlock()
	if b.n.pool.place(uidOf(3)) >= 0 || b.n.pool.place(uidOf(4)) != 0 {
		t.Errorf("the line after the first was detached: %d stand in it, want only the second", len(b.n.pool.waiting))
	}
}
