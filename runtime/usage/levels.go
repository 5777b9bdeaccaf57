package usage

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"writ/runtime/pressure"
)

// Node is how much there is of a node's resources, and how much of it is left.
type Node struct {
	Levels pressure.Levels
	// Shared says that images lie on the same filesystem as all else.
	Shared bool
}

// Read measures a node: data is the directory of its Pods, images that of its images.
func Read(data, images string) (Node, error) {
	n := Node{Levels: pressure.Levels{}}
	var err error
	if n.Levels[pressure.MemoryAvailable], err = Memory(); err != nil {
		return n, err
	}
	own, err := n.disk(data, pressure.NodeFsAvailable, pressure.NodeFsInodesFree)
	if err != nil {
		return n, err
	}
	theirs, err := n.disk(images, pressure.ImageFsAvailable, pressure.ImageFsInodesFree)
	if err != nil {
		return n, err
	}
	n.Shared = own == theirs
	if pids, err := processes(); err == nil { // without /proc there is no telling
		n.Levels[pressure.PIDAvailable] = pids
	}
	return n, nil
}

// disk measures a filesystem and names its device. One that numbers no inodes has no level of them.
func (n *Node) disk(dir string, space, inodes pressure.Signal) (device uint64, err error) {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := errors.Join(unix.Statfs(dir, &fs), unix.Stat(dir, &st)); err != nil {
		return 0, fmt.Errorf("measure %s: %w", dir, err)
	}
	n.Levels[space] = pressure.Level{Available: int64(fs.Bavail) * fs.Bsize, Capacity: int64(fs.Blocks) * fs.Bsize}
	if fs.Files > 0 {
		n.Levels[inodes] = pressure.Level{Available: int64(fs.Ffree), Capacity: int64(fs.Files)}
	}
	return st.Dev, nil
}

// Memory is what is there but the working set, as the kubelet counts it: free memory and file pages that were
// not used lately.
func Memory() (pressure.Level, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return pressure.Level{}, err
	}
	defer f.Close()
	found := map[string]int64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "MemTotal:", "MemFree:", "Inactive(file):":
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return pressure.Level{}, fmt.Errorf("read /proc/meminfo: %w", err)
			}
			found[fields[0]] = kib << 10
		}
	}
	if err := lines.Err(); err != nil {
		return pressure.Level{}, fmt.Errorf("read /proc/meminfo: %w", err)
	}
	if len(found) != 3 {
		return pressure.Level{}, errors.New("/proc/meminfo does not tell how much memory there is")
	}
	return pressure.Level{Available: found["MemFree:"] + found["Inactive(file):"], Capacity: found["MemTotal:"]}, nil
}

// processes is how many more the kernel numbers.
func processes() (pressure.Level, error) {
	most := int64(0)
	for _, name := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		data, err := os.ReadFile(name)
		if err != nil {
			return pressure.Level{}, err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		if err != nil {
			return pressure.Level{}, fmt.Errorf("read %s: %w", name, err)
		}
		if most == 0 || n < most {
			most = n
		}
	}
	data, err := os.ReadFile("/proc/loadavg") // 0.20 0.18 0.12 1/80 11206
	if err != nil {
		return pressure.Level{}, err
	}
	fields := strings.Fields(string(data))
	if len(fields) < 4 {
		return pressure.Level{}, fmt.Errorf("read /proc/loadavg: %q", data)
	}
	_, all, _ := strings.Cut(fields[3], "/")
	used, err := strconv.ParseInt(all, 10, 64)
	if err != nil {
		return pressure.Level{}, fmt.Errorf("read /proc/loadavg: %w", err)
	}
	return pressure.Level{Available: max(most-used, 0), Capacity: most}, nil
}
