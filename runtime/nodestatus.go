package runtime

import (
	"context"
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/manifest"
	"writ/runtime/pressure"
	"writ/runtime/usage"
	"writ/state"
)

// capacityEvery is how often a node is looked at for what it has; how it is, its guard tells.
const capacityEvery = time.Minute

// nodeStatus states what the node has and how it is. It is put again only when
// something changed.
type nodeStatus struct {
	r    *Runtime
	bell chan struct{}
	last *corev1.NodeStatus
}

func newNodeStatus(r *Runtime) *nodeStatus {
	return &nodeStatus{r: r, bell: make(chan struct{}, 1)}
}

func (n *nodeStatus) ring() {
	select {
	case n.bell <- struct{}{}:
	default:
	}
}

func (n *nodeStatus) run(ctx context.Context) {
	tick := time.NewTicker(capacityEvery)
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
		Conditions:      n.conditions(n.r.guard.Conditions(), now),
		DaemonEndpoints: corev1.NodeDaemonEndpoints{},
		RuntimeHandlers: n.r.cfg.Resources.runtimeHandlers(),
		Images:          statusImages(n.r.images.List()),
	}
	n.last = s
	return s, nil
}

// measured is what the node has.
type measured struct {
	cpus         int
	memory, disk int64
}

func measure(dataDir string) (measured, error) {
	m := measured{cpus: goruntime.NumCPU()}
	memory, err := usage.Memory()
	if err != nil {
		return m, err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dataDir, &st); err != nil {
		return m, fmt.Errorf("measure %s: %w", dataDir, err)
	}
	m.memory, m.disk = memory.Capacity, int64(st.Blocks)*st.Bsize
	return m, nil
}

func (m measured) capacity(pods int) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(m.cpus), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(m.memory, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(m.disk, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(int64(pods), resource.DecimalSI),
	}
}

// allocatable is the capacity without what is kept back: what was configured, and what is left when Pods
// have to go, as in the kubelet.
func allocatable(capacity, reserved corev1.ResourceList, c *pressure.Config) corev1.ResourceList {
	out, keep := capacity.DeepCopy(), reserved.DeepCopy()
	if keep == nil {
		keep = corev1.ResourceList{}
	}
	for name, signal := range map[corev1.ResourceName]pressure.Signal{corev1.ResourceMemory: pressure.MemoryAvailable, corev1.ResourceEphemeralStorage: pressure.NodeFsAvailable} {
		q, all := keep[name], capacity[name]
		q.Add(*resource.NewQuantity(c.Hard(signal, all.Value()), resource.BinarySI))
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
