package supervisor

import (
	"cmp"
	"errors"
	"math"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/cgroups"

	"writ/runtime/shim"
)

// stats reads what the pod and its running containers use. One that ends
// meanwhile is left out.
func (p *pod) stats() (shim.PodStats, error) {
	out := shim.PodStats{Containers: []shim.ContainerStats{}}
	p.mu.Lock()
	var all []*container
	for _, c := range p.containers {
		all = append(all, c)
	}
	box := p.sandbox
	p.mu.Unlock()
	if box != nil && box.CgroupPath != "" {
		m, _, err := podCgroup(box.CgroupPath, nil)
		if err != nil {
			return out, err
		}
		usage, err := readUsage(m)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return out, err
		}
		out.Pod = &usage
	}
	for _, c := range all {
		if stats, ok := c.stats(); ok {
			out.Containers = append(out.Containers, stats)
		}
	}
	slices.SortFunc(out.Containers, func(a, b shim.ContainerStats) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func (c *container) stats() (shim.ContainerStats, bool) {
	done, err := c.use()
	if err != nil {
		return shim.ContainerStats{}, false
	}
	defer done()
	usage, err := readUsage(c.cgroup)
	if err != nil {
		return shim.ContainerStats{}, false
	}
	return shim.ContainerStats{ID: c.id, Name: c.name, Usage: usage, LogDropped: c.output.dropped()}, true
}

func readUsage(m cgroups.Manager) (shim.Usage, error) {
	u := shim.Usage{Time: time.Now().UTC()}
	s, err := m.Stats(&cgroups.StatsOptions{Controllers: cgroups.CPU | cgroups.Memory | cgroups.Pids})
	if err != nil {
		return u, err
	}
	u.CPUNanos = s.CpuStats.CpuUsage.TotalUsage
	u.ThrottledPeriods = s.CpuStats.ThrottlingData.ThrottledPeriods
	u.ThrottledNanos = s.CpuStats.ThrottlingData.ThrottledTime
	memory := s.MemoryStats
	u.MemoryUsage = memory.Usage.Usage
	u.MemoryWorkingSet = u.MemoryUsage - min(u.MemoryUsage, either(memory.Stats, "total_inactive_file", "inactive_file"))
	u.MemoryRSS = either(memory.Stats, "total_rss", "anon")
	u.MemoryLimit = limit(memory.Usage.Limit)
	u.PageFaults = either(memory.Stats, "total_pgfault", "pgfault")
	u.MajorPageFaults = either(memory.Stats, "total_pgmajfault", "pgmajfault")
	u.PIDs = s.PidsStats.Current
	u.PIDsLimit = limit(s.PidsStats.Limit)
	if kills, err := m.OOMKillCount(); err == nil {
		u.OOMKills = kills
	}
	return u, nil
}

// either reads the name of cgroup v1 or else that of v2.
func either(stats map[string]uint64, v1, v2 string) uint64 {
	if n, ok := stats[v1]; ok {
		return n
	}
	return stats[v2]
}

// limit makes the kernel's way to say "none" a zero: the largest number, on
// v1 rounded down to a page.
func limit(n uint64) uint64 {
	const none = math.MaxInt64 &^ 0xffff
	if n >= none {
		return 0
	}
	return n
}
