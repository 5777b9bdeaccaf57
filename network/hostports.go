package network

import (
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// Addresses tells the address of a pod that is attached, by its UID; invalid if it is not. It says so
// before the World does, and still knows when what the World was told was lost with a daemon.
type Addresses func(uid string) netip.Addr

// podPrefix begins the owners of host ports. No Service has a name with a space.
const podPrefix = "pod "

func podOwner(ref manifest.Ref) string { return podPrefix + serviceName(ref.Namespace, ref.Name) }

// hostPortsOf are the ports of the node that lead to a pod: those of every container that runs as long
// as the pod does. A pod has them from when it is attached until it is detached, as its address; one in
// the node's own network until it has ended.
func hostPortsOf(record *state.Record, at Addresses) []*Frontend {
	if !asksHostPort(record) {
		return nil
	}
	var ip netip.Addr
	own := !record.Pod().Spec.HostNetwork
	if own && at != nil {
		ip = at(string(record.UID))
	}
	if own && !ip.IsValid() || !own && ended(record) {
		return nil
	}
	var out []*Frontend
	for p := range manifest.HostPorts(&record.Pod().Spec) {
		proto, ok := protocolOf(p.Protocol)
		host := hostAddress(p.HostIP)
		if !ok || !host.IsValid() {
			continue
		}
		f := &Frontend{Key: Key{Addr: host, Proto: proto, Port: uint16(p.HostPort), Host: true}, Owner: podOwner(record.Ref)}
		if own {
			f.Targets = []netip.AddrPort{netip.AddrPortFrom(ip, uint16(p.ContainerPort))}
		}
		out = append(out, f)
	}
	return out
}

func ended(record *state.Record) bool {
	phase := record.PodStatus().Phase
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}

// asksHostPort says whether a pod asks for ports of the node. In the node's own network its ports are
// the node's.
func asksHostPort(record *state.Record) bool {
	if record == nil {
		return false
	}
	pod := record.Pod()
	if pod == nil {
		return false
	}
	for range manifest.HostPorts(&pod.Spec) {
		return true
	}
	return false
}

// hostAddress is the address of the node that a host port is about, 0.0.0.0 for all of them. It is
// invalid for one that IPv4 does not have.
func hostAddress(hostIP string) netip.Addr {
	if hostIP == "" || hostIP == "::" {
		return netip.IPv4Unspecified()
	}
	ip, err := netip.ParseAddr(hostIP)
	if err != nil || !ip.Unmap().Is4() {
		return netip.Addr{}
	}
	return ip.Unmap()
}

// touchPods adds the owners of host ports that changes and moved pods are about.
func touchPods(owners map[string]bool, self state.Node, changes []state.Change, moved []manifest.Ref) {
	for i := range changes {
		c := &changes[i]
		if c.Ref.Kind != "Pod" || c.Ref.Group != "" {
			continue
		}
		for _, r := range []*state.Record{c.Old, c.New} {
			if r != nil && r.Node == self && asksHostPort(r) {
				owners[podOwner(c.Ref)] = true
			}
		}
	}
	for _, ref := range moved {
		owners[podOwner(ref)] = true
	}
}

// hostPortRule leads connections to a local address to the pod that has the port, which is looked up
// by the address that is loaded. What only pods see of the node has no host ports.
func hostPortRule(r Ranges, address expr.Any) []expr.Any {
	return rule(
		&expr.Fib{Register: 1, ResultADDRTYPE: true, FlagDADDR: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: native32(unix.RTN_LOCAL)},
		inRange(destination, hostPrefix(gateway), false),
		inRange(destination, hostPrefix(r.DNS), false),
		inRange(destination, hostPrefix(r.API), false),
		address, loadProto(regFirst+1), load(destinationPort, regFirst+2),
		&expr.Lookup{SourceRegister: regFirst, DestRegister: regTarget, IsDestRegSet: true, SetName: mapNames[mapHostPorts]},
		translate())
}

// openRule lets a pod come to a port of the node that a pod in the node's own network has, which is looked
// up by the address that is loaded.
func openRule(address expr.Any) []expr.Any {
	return rule(address, loadProto(regFirst+1), load(destinationPort, regFirst+2),
		&expr.Lookup{SourceRegister: regFirst, SetName: mapNames[setOpen]}, verdict(expr.VerdictAccept))
}

// anyHostAddress loads the address that stands for all of the node's.
func anyHostAddress() expr.Any { return &expr.Immediate{Register: regFirst, Data: make([]byte, 4)} }
