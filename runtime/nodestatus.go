package runtime

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// Kubelet's own thresholds.
const (
	lookEvery      = 10 * time.Second // nothing tells when memory or disk gets short
	leastMemory    = 100 << 20        // memory.available
	leastDisk      = 10               // nodefs.available, percent
	leastInodes    = 5                // nodefs.inodesFree, percent
	leastPIDs      = 10               // percent
	pruneDisk      = 15               // percent free below which unused images go
	pruneEvery     = 5 * time.Minute
	pressureLinger = 5 * time.Minute
)

// nodeStatus states what the node has and how it is. It is put again only when
// something changed.
type nodeStatus struct {
	r    *Runtime
	bell chan struct{}
	last *corev1.NodeStatus
	seen map[corev1.NodeConditionType]time.Time // when a pressure was last there

	pruned time.Time
}

func newNodeStatus(r *Runtime) *nodeStatus {
	return &nodeStatus{r: r, bell: make(chan struct{}, 1), seen: map[corev1.NodeConditionType]time.Time{}}
}

func (n *nodeStatus) ring() {
	select {
	case n.bell <- struct{}{}:
	default:
	}
}

func (n *nodeStatus) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		n.put(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.bell:
		}
	}
}

func (n *nodeStatus) put(ctx context.Context) {
	rec := n.r.view().Node()
	if rec == nil {
		return // it is told when there is a record
	}
	status, err := n.look(time.Now())
	if err != nil {
		n.r.log.Warn("node is not measured", "err", err)
		return
	}
	if old, ok := rec.Status.(*corev1.NodeStatus); ok && equality.Semantic.DeepEqual(old, status) {
		return
	}
	_, err = n.r.feed.Propose(ctx, state.Batch{Writer: state.NodeWriter(n.r.cfg.Node), Now: time.Now(),
		Puts: []state.Put{{Ref: manifest.NodeRef(string(n.r.cfg.Node)), UID: rec.UID, Status: status, Why: "observed"}}})
	if err != nil && ctx.Err() == nil {
		n.r.log.Warn("node status is not stated", "err", err)
	}
}

// look measures the node. Times are those of transitions, so that equal
// measurements give equal statuses.
func (n *nodeStatus) look(now time.Time) (*corev1.NodeStatus, error) {
	m, err := measure(n.r.cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if n.last == nil {
		if rec := n.r.view().Node(); rec != nil {
			if old, ok := rec.Status.(*corev1.NodeStatus); ok {
				n.last = old
			}
		}
	}
	name, capacity := string(n.r.cfg.Node), n.r.capacity(m)
	s := &corev1.NodeStatus{
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: n.r.cfg.NodeIP.String()},
			{Type: corev1.NodeHostName, Address: name},
		},
		Capacity:        capacity,
		Allocatable:     n.r.allocatableOf(capacity),
		NodeInfo:        nodeInfo(n.r.cfg.Version),
		Conditions:      n.conditions(m, now),
		DaemonEndpoints: corev1.NodeDaemonEndpoints{},
		RuntimeHandlers: n.r.cfg.Resources.runtimeHandlers(),
	}
	n.last = s
	if m.diskFree*100 < m.disk*pruneDisk && now.Sub(n.pruned) >= pruneEvery {
		n.pruned = now
		if _, err := n.r.ReclaimImages(0); err != nil {
			n.r.log.Warn("images are not pruned", "err", err)
		}
	}
	return s, nil
}

func (n *nodeStatus) conditions(m measured, now time.Time) []corev1.NodeCondition {
	type check struct {
		kind              corev1.NodeConditionType
		bad               bool
		badWhy, goodWhy   string
		badText, goodText string
	}
	checks := []check{
		{corev1.NodeMemoryPressure, m.memoryAvailable < leastMemory, "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory",
			"kubelet has insufficient memory available", "kubelet has sufficient memory available"},
		{corev1.NodeDiskPressure, m.diskFree*100 < m.disk*leastDisk || m.inodesFree*100 < m.inodes*leastInodes, "KubeletHasDiskPressure", "KubeletHasNoDiskPressure",
			"kubelet has disk pressure", "kubelet has no disk pressure"},
		{corev1.NodePIDPressure, m.pids > 0 && (m.pids-m.pidsUsed)*100 < m.pids*leastPIDs, "KubeletHasInsufficientPID", "KubeletHasSufficientPID",
			"kubelet has insufficient PID available", "kubelet has sufficient PID available"},
	}
	var list []corev1.NodeCondition
	for _, c := range checks {
		bad := c.bad
		if bad {
			n.seen[c.kind] = now
		} else if at, ok := n.seen[c.kind]; ok && now.Sub(at) < pressureLinger {
			bad = true
		}
		cond := corev1.NodeCondition{Type: c.kind, Status: corev1.ConditionFalse, Reason: c.goodWhy, Message: c.goodText}
		if bad {
			cond.Status, cond.Reason, cond.Message = corev1.ConditionTrue, c.badWhy, c.badText
		}
		list = append(list, n.timed(cond, now))
	}
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"}
	return append(list, n.timed(ready, now))
}

func (n *nodeStatus) timed(c corev1.NodeCondition, now time.Time) corev1.NodeCondition {
	c.LastTransitionTime = metav1.NewTime(now).Rfc3339Copy()
	if n.last != nil {
		for _, old := range n.last.Conditions {
			if old.Type == c.Type && old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
		}
	}
	c.LastHeartbeatTime = c.LastTransitionTime
	return c
}

// measured is the node in numbers.
type measured struct {
	cpus                    int
	memory, memoryAvailable int64
	disk, diskFree          int64
	inodes, inodesFree      int64
	pids, pidsUsed          int64
}

func measure(dataDir string) (measured, error) {
	m := measured{cpus: goruntime.NumCPU()}
	var err error
	if m.memory, m.memoryAvailable, err = memory(); err != nil {
		return m, err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dataDir, &st); err != nil {
		return m, fmt.Errorf("measure %s: %w", dataDir, err)
	}
	m.disk, m.diskFree = int64(st.Blocks)*st.Bsize, int64(st.Bavail)*st.Bsize
	m.inodes, m.inodesFree = int64(st.Files), int64(st.Ffree)
	if data, err := os.ReadFile("/proc/sys/kernel/pid_max"); err == nil {
		m.pids, _ = strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		m.pidsUsed = int64(info.Procs)
	}
	return m, nil
}

func memory() (total, available int64, err error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "MemTotal:":
			total = n << 10
		case "MemAvailable:":
			available = n << 10
		}
	}
	if total == 0 {
		return 0, 0, errors.New("/proc/meminfo tells no MemTotal")
	}
	return total, available, lines.Err()
}

func (m measured) capacity(pods int) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(m.cpus), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(m.memory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(m.disk, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(int64(pods), resource.DecimalSI),
	}
}

// allocatable is the capacity without what is kept back: what was configured, or
// 100 MiB of memory and a tenth of the disk, kubelet's eviction thresholds.
func allocatable(capacity, reserved corev1.ResourceList) corev1.ResourceList {
	out := capacity.DeepCopy()
	keep := corev1.ResourceList{
		corev1.ResourceMemory:           *resource.NewQuantity(leastMemory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(capacity.StorageEphemeral().Value()/leastDisk, resource.BinarySI),
	}
	for name, q := range reserved {
		keep[name] = q
	}
	for name, q := range keep {
		left, ok := out[name]
		if !ok {
			continue
		}
		if left.Sub(q); left.Sign() < 0 {
			left = *resource.NewQuantity(0, left.Format)
		}
		out[name] = left
	}
	return out
}

// allocatable is the node's, for the downward API.
func (r *Runtime) allocatable() corev1.ResourceList {
	if rec := r.view().Node(); rec != nil {
		if s, ok := rec.Status.(*corev1.NodeStatus); ok {
			return s.Allocatable
		}
	}
	m, err := measure(r.cfg.DataDir)
	if err != nil {
		return nil
	}
	return r.allocatableOf(r.capacity(m))
}

func nodeInfo(version string) corev1.NodeSystemInfo {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return corev1.NodeSystemInfo{
		MachineID: line("/etc/machine-id"), SystemUUID: line("/sys/class/dmi/id/product_uuid"), BootID: line("/proc/sys/kernel/random/boot_id"),
		KernelVersion: unix.ByteSliceToString(u.Release[:]), OSImage: osImage(), ContainerRuntimeVersion: runtimeName + "://" + strings.TrimPrefix(version, "v"),
		KubeletVersion: version, OperatingSystem: goruntime.GOOS, Architecture: goruntime.GOARCH,
	}
}

func line(name string) string {
	data, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func osImage() string {
	for l := range strings.Lines(line("/etc/os-release")) {
		if v, ok := strings.CutPrefix(l, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return "Linux"
}
