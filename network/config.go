package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"writ/state"
)

// Config is what a Network needs to know before it has seen a World. Pod and service ranges are not
// in it: they come with the adopted commit.
type Config struct {
	// Node is the node whose pods are attached.
	Node state.Node
	// DataDir outlives a reboot; addresses are kept in its folder "network".
	DataDir string
	// RunDir holds the network namespaces of the pods, in its folder "netns".
	RunDir string
	// HostInterface is the link whose MTU the pods get; empty takes that of the default route.
	HostInterface string
	// Settling tells, by UID, the pods that were found running at the start and whose readiness nobody
	// has looked at since; changed is closed when there are fewer, nil when there are none. Until then, for
	// a few seconds at most, they keep the routes that they have. Nil: nothing is kept.
	Settling func() (pods map[string]bool, changed <-chan struct{})
}

// Validate says what is missing.
func (c Config) Validate() error {
	var errs []error
	if c.Node == "" {
		errs = append(errs, errors.New("node name is empty"))
	}
	for _, dir := range []struct{ name, path string }{{"data", c.DataDir}, {"run", c.RunDir}} {
		if !filepath.IsAbs(dir.path) {
			errs = append(errs, fmt.Errorf("%s directory %q is not an absolute path", dir.name, dir.path))
		}
	}
	return errors.Join(errs...)
}

// names are what everything of one node in the kernel is called. They hold a short hash of node and
// data directory, because several nodes may share a network namespace. Link names have at most 15
// bytes.
type names struct {
	table string
	pods  string // prefix of the host ends of pods, followed by the address in hex
	out   string // prefix of the links that slow down what pods send, likewise
	dns   string // link that carries the address of the cluster's DNS
	peer  string // its other end
}

// anyPods begins the host ends of pods of every node; those of the DNS links begin otherwise.
const anyPods = "wr"

func namesOf(c Config) names {
	sum := sha256.Sum256([]byte(string(c.Node) + "\x00" + filepath.Clean(c.DataDir)))
	h := hex.EncodeToString(sum[:])[:5]
	return names{table: "writ-" + h, pods: anyPods + h, out: "wi" + h, dns: "wd" + h, peer: "we" + h}
}

// link is the host end of the pod with an address. No two attached pods share one.
func (n names) link(ip netip.Addr) string {
	b := ip.As4()
	return n.pods + hex.EncodeToString(b[:])
}

// outLink is the link through which what a pod sends goes, if that is slowed down.
func (n names) outLink(ip netip.Addr) string {
	b := ip.As4()
	return n.out + hex.EncodeToString(b[:])
}

// own says whether a link is one of this node's.
func (n names) own(link string) bool {
	return strings.HasPrefix(link, n.pods) || strings.HasPrefix(link, n.out) || link == n.dns || link == n.peer
}
