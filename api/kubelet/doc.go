// Package kubelet answers what an API server asks the kubelet of a node: logs of containers, commands in them, connections to
// their ports. It is asked inside the process, over connections that nobody else can make; that of another node will be asked
// over the network.
package kubelet
