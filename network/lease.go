package network

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// lease is an address of the node's range that belongs to a pod, or did a moment ago. Each is a file
// named after the address.
type lease struct {
	IP        netip.Addr `json:"ip"`
	UID       string     `json:"uid"`
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
	Released  time.Time  `json:"released,omitzero"` // zero while the pod has it

	rested time.Time // when a released one may be used again, by the clock of this process
}

// loadAddresses reads the leases of an earlier daemon. A file that cannot be read holds nothing.
func loadAddresses(dir string, log *slog.Logger) (*addresses, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of addresses: %w", err)
	}
	a := &addresses{dir: dir, log: log, taken: map[netip.Addr]*lease{}, byUID: map[string]*lease{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	now := time.Now()
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		l, err := readLease(path)
		if err != nil || a.byUID[l.UID] != nil && l.Released.IsZero() {
			log.Warn("address record dropped", "file", path, "err", err)
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("drop address record: %w", err)
			}
			continue
		}
		a.taken[l.IP] = l
		if l.Released.IsZero() {
			a.byUID[l.UID] = l
			continue
		}
		// A clock that was set meanwhile makes the rest no longer than it is for one released now.
		l.rested = now.Add(min(quarantine, l.Released.Add(quarantine).Sub(now)))
		a.resting = append(a.resting, l)
	}
	slices.SortFunc(a.resting, func(x, y *lease) int { return x.rested.Compare(y.rested) })
	return a, nil
}

func readLease(path string) (*lease, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var l lease
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, err
	}
	if checkUID(l.UID) != nil || l.IP.String() != filepath.Base(path) {
		return nil, fmt.Errorf("it is about %q at %s", l.UID, l.IP)
	}
	return &l, nil
}
