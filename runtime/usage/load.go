package usage

import (
	"fmt"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
)

// Load is what a control group has used of CPU since it was made, and its working set in bytes now.
type Load struct {
	CPU    time.Duration
	Memory int64
	At     time.Time
}

// LoadOf reads a control group, whose path is absolute below each hierarchy's root.
func LoadOf(path string) (Load, error) {
	m, err := manager.New(&cgroups.Cgroup{Path: path, Resources: &cgroups.Resources{}})
	if err != nil {
		return Load{}, fmt.Errorf("open control group %s: %w", path, err)
	}
	s, err := m.Stats(&cgroups.StatsOptions{Controllers: cgroups.CPU | cgroups.Memory})
	if err != nil {
		return Load{}, fmt.Errorf("read control group %s: %w", path, err)
	}
	return Load{CPU: time.Duration(s.CpuStats.CpuUsage.TotalUsage), Memory: workingSet(s), At: time.Now()}, nil
}

// workingSet is the memory in use without files that nobody looked at lately.
func workingSet(s *cgroups.Stats) int64 {
	idle, ok := s.MemoryStats.Stats["total_inactive_file"] // v1
	if !ok {
		idle = s.MemoryStats.Stats["inactive_file"]
	}
	used := s.MemoryStats.Usage.Usage
	return int64(used - min(used, idle))
}
