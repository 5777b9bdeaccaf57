package runtime

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/capability"
	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"

	"writ/runtime/oci"
)

// readMachine finds out what this node allows.
func readMachine(cfg Config) (oci.Machine, error) {
	m := oci.Machine{
		CgroupV2: cgroups.IsCgroup2UnifiedMode(), PIDsLimit: max(cfg.PIDsLimit, 0),
		CPUPeriod: uint64(cfg.Resources.CFSPeriod.Microseconds()), NoCPUQuota: cfg.Resources.NoCPUQuota,
	}
	m.SwapControl, m.HugePages = countsSwap(m.CgroupV2), hugePageSizes(m.CgroupV2)
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return m, fmt.Errorf("read memory size: %w", err)
	}
	m.MemoryBytes = int64(info.Totalram) * int64(info.Unit)
	if cfg.Resources.MemorySwap == LimitedSwap {
		m.SwapBytes = int64(info.Totalswap) * int64(info.Unit)
	}
	own, err := capability.NewPid2(0)
	if err != nil {
		return m, fmt.Errorf("read capabilities: %w", err)
	}
	if err := own.Load(); err != nil {
		return m, fmt.Errorf("read capabilities: %w", err)
	}
	known, err := capability.ListSupported()
	if err != nil {
		return m, fmt.Errorf("list capabilities: %w", err)
	}
	for _, c := range known {
		if own.Get(capability.BOUNDING, c) && own.Get(capability.EFFECTIVE, c) {
			m.Capabilities = append(m.Capabilities, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	m.OOMScoreFloor = -1000
	if !own.Get(capability.EFFECTIVE, capability.CAP_SYS_RESOURCE) {
		m.OOMScoreFloor = oomScore()
	}
	m.Devices = deviceNodes
	m.HotPaths, _ = filepath.Glob("/sys/devices/system/cpu/cpu*/thermal_throttle")
	profiles := filepath.Join(cfg.DataDir, "seccomp")
	m.SeccompProfile = func(name string) ([]byte, error) {
		root, err := os.OpenRoot(profiles)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		return root.ReadFile(name)
	}
	return m, nil
}

// countsSwap says that the kernel counts the swap of cgroups, so that it can be bounded.
func countsSwap(v2 bool) bool {
	name := "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"
	if v2 { // the root has no such file
		own, err := cgroups.ParseCgroupFile("/proc/self/cgroup")
		if err != nil {
			return false
		}
		name = filepath.Join("/sys/fs/cgroup", own[""], "memory.swap.max")
	}
	_, err := os.Stat(name)
	return err == nil
}

// hugePageSizes are the sizes that cgroups can bound, none where nothing counts huge pages.
func hugePageSizes(v2 bool) []string {
	if v2 {
		known, err := cgroups.GetAllSubsystems()
		if err != nil || !slices.Contains(known, "hugetlb") {
			return nil
		}
		return cgroups.HugePageSizes()
	}
	if _, err := cgroups.FindCgroupMountpoint("", "hugetlb"); err != nil {
		return nil
	}
	return cgroups.HugePageSizes()
}

// oomScore is the daemon's own oom_score_adj: without CAP_SYS_RESOURCE nobody can go below.
func oomScore() int {
	data, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return n
}

// deviceNodes are the node's device nodes, without terminals and shared memory.
func deviceNodes() []oci.Device {
	var out []oci.Device
	_ = filepath.WalkDir("/dev", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fs.SkipDir
		case d.IsDir() && (name == "/dev/pts" || name == "/dev/shm" || name == "/dev/mqueue" || name == "/dev/fd"):
			return fs.SkipDir
		case d.Type()&fs.ModeDevice == 0 || name == "/dev/console":
			return nil
		}
		if found, err := nodeDevice(name); err == nil { // it may be gone already
			out = append(out, found)
		}
		return nil
	})
	return out
}

// nodeAddress is the address that the node uses towards others: that of the default
// route, else the first that is not loopback, else loopback. Nothing is sent.
func nodeAddress() netip.Addr {
	if c, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		defer c.Close()
		if a, ok := c.LocalAddr().(*net.UDPAddr); ok {
			if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok && !ip.IsLoopback() {
				return ip
			}
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err == nil {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP.To4()); ok && ip.IsGlobalUnicast() {
					return ip
				}
			}
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}
