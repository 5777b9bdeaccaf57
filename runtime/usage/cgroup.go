package usage

import (
	"fmt"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
)

// Group is what a control group uses: its working set in bytes and how many processes it has.
type Group struct{ Memory, PIDs int64 }

// Cgroup reads a control group, whose path is absolute below each hierarchy's root.
func Cgroup(path string) (Group, error) {
	m, err := manager.New(&cgroups.Cgroup{Path: path, Resources: &cgroups.Resources{}})
	if err != nil {
		return Group{}, fmt.Errorf("open control group %s: %w", path, err)
	}
	s, err := m.Stats(&cgroups.StatsOptions{Controllers: cgroups.Memory | cgroups.Pids})
	if err != nil {
		return Group{}, fmt.Errorf("read control group %s: %w", path, err)
	}
	return Group{Memory: workingSet(s), PIDs: int64(s.PidsStats.Current)}, nil
}
