package network

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"writ/manifest"
)

// Network is the network of one node. Attach and Detach may be called from any goroutine; Run is
// called once.
type Network struct {
	cfg   Config
	log   *slog.Logger
	names names
	ns    netns.NsHandle  // the node's network namespace: that of the thread which called New
	host  *netlink.Handle // in ns
	ct    *netlink.Handle // in ns, for connection tracking
	pool  *addresses
	ready chan struct{} // closed once pods can be attached
	wake  chan struct{} // holds one token: todo is not empty

	holdLimit time.Duration

	feed atomic.Pointer[Feed] // what Run was given

	tableMu sync.Mutex // held while the table is read or written
	table   *kernelTable
	// tablePort is the netlink port that the table was last written through.
	tablePort atomic.Uint32

	mu       sync.Mutex
	pods     map[string]*pod
	todo     suspicion
	uplink   uplink
	ranges   Ranges
	trouble  string
	since    time.Time      // when it began
	released []netip.Addr   // detached pods whose connections are still tracked
	moved    []manifest.Ref // see loop
}

// New takes up what an earlier daemon of the node left on disk. It changes nothing in the kernel. The
// network namespace of the calling thread becomes the node's.
func New(cfg Config, log *slog.Logger) (*Network, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure network: %w", err)
	}
	n := &Network{
		cfg: cfg, log: log.With("component", "network"), names: namesOf(cfg), pods: map[string]*pod{},
		ready: make(chan struct{}), wake: make(chan struct{}, 1),
		holdLimit: holdLimit,
	}
	for _, dir := range []string{n.dir(), n.netnsDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make directory of network: %w", err)
		}
	}
	var err error
	if n.pool, err = loadAddresses(filepath.Join(n.dir(), "addresses"), n.log); err != nil {
		return nil, err
	}
	if n.ns, err = netns.Get(); err != nil {
		return nil, fmt.Errorf("open the node's network namespace: %w", err)
	}
	if n.host, err = netlink.NewHandleAt(n.ns, unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), n.ns.Close())
	}
	if n.ct, err = netlink.NewHandleAt(n.ns, unix.NETLINK_NETFILTER); err != nil {
		n.host.Close()
		return nil, errors.Join(fmt.Errorf("open netlink to connection tracking: %w", err), n.ns.Close())
	}
	n.table = newKernelTable(n.names, int(n.ns), filepath.Join(n.dir(), "table.json"), &n.tablePort)
	return n, nil
}

// Close gives up what New opened. Pods and services stay as they are. Run must have returned.
func (n *Network) Close() error {
	n.pool.close()
	n.tableMu.Lock()
	defer n.tableMu.Unlock()
	err := n.table.close()
	n.host.Close()
	n.ct.Close()
	return errors.Join(err, n.ns.Close())
}

func (n *Network) dir() string { return filepath.Join(n.cfg.DataDir, "network") }

// Ready is closed once the ranges of the cluster are known and pods can be attached.
func (n *Network) Ready() <-chan struct{} { return n.ready }

// DNSAddress is the address of the cluster's DNS, which is local to the node and reached by its pods
// only. It is invalid before Ready.
func (n *Network) DNSAddress() netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ranges.DNS
}

// Trouble says in one line what keeps the network from being as it should, empty if nothing does.
func (n *Network) Trouble() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trouble
}

// TroubleSince is when the trouble began; zero while there is none.
func (n *Network) TroubleSince() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.since
}

func (n *Network) setTrouble(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		n.trouble, n.since = "", time.Time{}
		return
	}
	if n.trouble == "" {
		n.since = time.Now()
	}
	n.trouble = err.Error()
}
