package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// Down removes everything of the node from the kernel and from disk: links with their addresses and
// routes, the table, the namespaces of pods, what was tracked of their connections, and the sysctl.
// Run must have returned. It goes on after errors and may be called again.
func (n *Network) Down(_ context.Context) error {
	var errs []error
	gone := stale{addresses: map[netip.Addr]bool{}}
	for _, l := range n.pool.leases() {
		gone.addresses[l.IP] = true
	}
	links, err := n.host.LinkList()
	errs = append(errs, err)
	for _, l := range links {
		if name := l.Attrs().Name; n.names.own(name) {
			errs = append(errs, dropLink(n.host, name))
		}
	}
	n.tableMu.Lock()
	errs = append(errs, n.table.remove())
	n.tableMu.Unlock()
	errs = append(errs, n.endFlows(gone), n.dropAllNetns(), n.unforward())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take network down: %w", err)
	}
	if err := os.RemoveAll(n.dir()); err != nil {
		return fmt.Errorf("take network down: %w", err)
	}
	return nil
}

func (n *Network) dropAllNetns() error {
	entries, err := os.ReadDir(n.netnsDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, dropNetns(filepath.Join(n.netnsDir(), e.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.Remove(n.netnsDir())
}
