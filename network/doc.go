// Package network gives the pods of one node their network and the services of the cluster their
// virtual addresses: a routed veth, an address and a network namespace for each pod, and one nftables
// table that translates cluster IPs, node ports and host ports.
//
// It never runs a program, never touches a table, link or rule that does not carry the node's own
// name, never resolves names and never decides what is routed: that is in the World.
//
// Invariant: what the kernel holds is what Compile makes of the last View, and what differs is
// written again. A pod keeps its address for as long as it is attached, over restarts and repairs.
package network
