package runtime

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	corev1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"

	"writ/runtime/devices"
	"writ/runtime/oci"
)

// openDevices makes the node's side of device plugins.
func (r *Runtime) openDevices() error {
	var err error
	r.devices, err = devices.Open(devices.Config{
		Dir: r.cfg.Resources.DevicePlugins, File: filepath.Join(r.cfg.DataDir, "devices"), Changed: r.devicesChanged,
	}, r.log)
	r.plugins = func(ctx context.Context) error { return r.devices.Run(ctx) }
	return err
}

// servePlugins serves the plugins of devices. A node where that cannot be done runs all other Pods.
func (r *Runtime) servePlugins(ctx context.Context) {
	if err := r.plugins(ctx); err != nil && ctx.Err() == nil {
		r.log.Error("device plugins cannot register", "dir", r.cfg.Resources.DevicePlugins, "err", err)
	}
}

// sweepDevices takes back the devices of Pods that went while no daemon was there.
func (r *Runtime) sweepDevices() {
	known := map[string]bool{}
	for rec := range r.view().Pods() {
		known[string(rec.UID)] = true
	}
	for _, uid := range r.devices.Pods() {
		r.mu.Lock()
		gone := !known[uid] && r.workers[types.UID(uid)] == nil
		r.mu.Unlock()
		if gone {
			r.devices.Release(uid)
		}
	}
}

// devicesChanged tells the node, and the Pods that have devices, that some came, went or failed.
func (r *Runtime) devicesChanged() {
	r.node.ring()
	pods := r.devices.Pods() // its lock is held over a write to the disk, r.mu never is
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, uid := range pods {
		if w := r.workers[types.UID(uid)]; w != nil {
			w.ring()
		}
	}
}

// countDevices adds the devices of plugins to what the node has, or with healthy to what it can give.
func (r *Runtime) countDevices(list corev1.ResourceList, healthy bool) {
	all, fine := r.devices.Count()
	if healthy {
		all = fine
	}
	for name, n := range all {
		list[corev1.ResourceName(name)] = *resource.NewQuantity(n, resource.DecimalSI)
	}
}

// allocate gives the Pod's containers their devices, or says in kubelet's words why it cannot.
func (w *worker) allocate() *rejection {
	var needs []devices.Need
	for c := range containers(&w.desired.Pod.Spec) {
		n := devices.Need{Container: c.Name, Counts: map[string]int64{}, Passing: initContainer(w.desired.Pod, c) && !sidecar(c)}
		for name, q := range c.Resources.Limits {
			if corev1helper.IsExtendedResourceName(name) {
				n.Counts[string(name)] = q.Value()
			}
		}
		if len(n.Counts) > 0 {
			needs = append(needs, n)
		}
	}
	if len(needs) == 0 {
		return nil
	}
	if err := w.r.devices.Allocate(w.ctx, string(w.uid), needs); err != nil {
		return &rejection{"UnexpectedAdmissionError", fmt.Sprintf("Allocate failed due to %v, which is unexpected", err)}
	}
	return nil
}

// give adds to a container what plugins gave it. own is its environment as its author wrote it.
func (w *worker) give(c *corev1.Container, own map[string]string, spec *specs.Spec) error {
	grant, err := w.r.devices.Start(w.ctx, string(w.uid), c.Name)
	if err != nil {
		return err
	}
	g := &oci.Given{Env: grant.Env, Annotations: grant.Annotations}
	for _, m := range grant.Mounts {
		g.Mounts = append(g.Mounts, oci.Bind{Source: m.HostPath, Target: m.ContainerPath, ReadOnly: m.ReadOnly})
	}
	for _, d := range grant.Devices {
		found, err := nodeDevices(d.HostPath, d.ContainerPath)
		if err != nil {
			return fmt.Errorf("device %s of container %s: %w", d.HostPath, c.Name, err)
		}
		for _, one := range found {
			g.Devices = append(g.Devices, oci.GivenDevice{Device: one, Access: access(d.Permissions)})
		}
	}
	oci.Give(spec, own, g)
	return nil
}

// access is what a plugin says a container may do with a device; nothing said is everything.
func access(permissions string) string {
	if permissions == "" {
		return "rwm"
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("rwm", r) {
			return r
		}
		return -1
	}, permissions)
}

// nodeDevices is a device of the node, or all below a folder, under the name in the container.
func nodeDevices(host, container string) ([]oci.Device, error) {
	host, err := filepath.EvalSymlinks(host)
	if err != nil {
		return nil, err
	}
	var out []oci.Device
	err = filepath.WalkDir(host, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || name != host && e.Type()&fs.ModeDevice == 0 {
			return err
		}
		d, err := nodeDevice(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(host, name)
		if err != nil {
			return err
		}
		d.Path = filepath.Join(container, rel)
		out = append(out, d)
		return nil
	})
	return out, err
}

// nodeDevice is a device node as it is.
func nodeDevice(name string) (oci.Device, error) {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return oci.Device{}, err
	}
	d := oci.Device{Path: name, Mode: st.Mode & 0o777, Major: int64(unix.Major(uint64(st.Rdev))), Minor: int64(unix.Minor(uint64(st.Rdev))), UID: st.Uid, GID: st.Gid}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		d.Type = "c"
	case unix.S_IFBLK:
		d.Type = "b"
	default:
		return d, fmt.Errorf("%s is not a device", name)
	}
	return d, nil
}

// given is what the status says of a container's devices.
func (w *worker) given(container string) []corev1.ResourceStatus {
	all := w.r.devices.Given(string(w.uid), container)
	var out []corev1.ResourceStatus
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := corev1.ResourceStatus{Name: corev1.ResourceName(name)}
		for _, d := range all[name] {
			health := corev1.ResourceHealthStatusHealthy
			if !d.Healthy {
				health = corev1.ResourceHealthStatusUnhealthy
			}
			s.Resources = append(s.Resources, corev1.ResourceHealth{ResourceID: corev1.ResourceID(d.ID), Health: health})
		}
		out = append(out, s)
	}
	return out
}

// showDevices notes for the status which devices the Pod's containers have. Those of a Pod that has ended are free before
// that is told: whoever has waited for them may come at once. What it had goes on being shown.
func (w *worker) showDevices() {
	ended := w.o.Sandbox.Done && !w.o.anyRunning() && (w.o.Failed != nil || finished(w.desired.Pod, &w.o))
	if w.o.Cleaned || ended {
		w.r.devices.Release(string(w.uid))
		return
	}
	for i := range w.desired.Pod.Spec.Containers {
		name := w.desired.Pod.Spec.Containers[i].Name
		if list := w.given(name); len(list) > 0 || w.o.Containers[name] != nil {
			w.o.container(name).Devices = list
		}
	}
}
