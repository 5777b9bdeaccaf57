//go:build kernel

package network

import (
	"testing"
)

func TestAttach_Traffic(t *testing.T) {
	b := newBed(t)
	one, two := b.attach(1), b.attach(2)
	b.serve(one.ns, ":80", "one")
	b.serve(b.outside, ":80", "outside")
	b.expect(two.ns, "tcp", one.ip.String()+":80", "one "+two.ip.String())
	b.expect(two.ns, "udp", one.ip.String()+":80", "one "+two.ip.String())
	b.expect(b.node, "tcp", one.ip.String()+":80", "one "+nodeAddress)
	b.expect(two.ns, "tcp", outsideAddress+":80", "outside "+nodeAddress)
	b.expect(one.ns, "tcp", "127.0.0.1:80", "one 127.0.0.1")
}
