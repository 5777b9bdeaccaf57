package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
	"writ/runtime/devices"
	"writ/runtime/guard"
	"writ/runtime/logs"
	"writ/runtime/oci"
	"writ/runtime/pressure"
	"writ/runtime/volume"
	"writ/state"
)

// Runtime runs the Pods of one node.
type Runtime struct {
	cfg     Config
	images  Images
	network Network
	feed    Feed
	record  func(state.Event)
	log     *slog.Logger
	shims   shims
	tmpfs   func(dir string, size int64) error // makes the directory and mounts
	machine oci.Machine
	sysctls *sysctlRules
	users   *userRanges
	reports *reporter
	node    *nodeStatus
	hub     *logs.Hub
	starts  chan struct{}
	// upgrades bounds how many shims become another program at once.
	upgrades chan struct{}
	closing  atomic.Bool // Down: every Pod goes
	calls    volume.Calls
	removals removals
	ledger   ledger
	devices  *devices.Manager
	plugins  func(context.Context) error // serves the plugins of devices
	guard    *guard.Guard
	eviction pressure.Config // when Pods have to go
	// settling are the Pods found at the start whose readiness is not known anew.
	settling settling

	mu      sync.Mutex
	workers map[types.UID]*worker
	readers map[manifest.Ref]map[types.UID]*worker // by ConfigMap, Secret or PersistentVolumeClaim
	alive   sync.WaitGroup
	warned  sync.Map
}

// New makes the runtime of a node. record is given every event for people. Nothing
// is started before Run.
func New(cfg Config, images Images, network Network, feed Feed, record func(state.Event), log *slog.Logger) (*Runtime, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.filled()
	for _, dir := range []string{filepath.Join(cfg.DataDir, "pods"), filepath.Join(cfg.RunDir, "pods")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open runtime: %w", err)
		}
	}
	machine, err := readMachine(cfg)
	if err != nil {
		return nil, fmt.Errorf("open runtime: %w", err)
	}
	r := &Runtime{
		cfg: cfg, images: images, network: network, feed: feed, record: record,
		log: log.With("component", "runtime"), machine: machine,
		shims:   shimBinary{binary: cfg.Shim, cgroup: cfg.cgroupRoot() + "/shims"},
		tmpfs:   volume.MountShm,
		reports: newReporter(), hub: logs.NewHub(), starts: make(chan struct{}, cfg.Starts), upgrades: make(chan struct{}, upgradesAtOnce),
		workers: map[types.UID]*worker{}, readers: map[manifest.Ref]map[types.UID]*worker{},
	}
	if r.sysctls, err = newSysctlRules(cfg.UnsafeSysctls, kernelVersion()); err != nil {
		return nil, fmt.Errorf("open runtime: %w", err)
	}
	r.machine.LSM = readLSM(func(message string, err error) { r.log.Warn(message, "err", err) })
	r.users = newUserRanges(cfg.Users.filled(cfg.MaxPods), func(uid types.UID) string { return cfg.pod("", "", uid).users() }, r.onDisk())
	r.node = newNodeStatus(r)
	if err := r.openDevices(); err != nil {
		return nil, fmt.Errorf("open runtime: %w", err)
	}
	if r.guard, err = r.newGuard(); err != nil {
		return nil, fmt.Errorf("open runtime: %w", err)
	}
	if err := r.settling.find(filepath.Join(cfg.RunDir, "pods")); err != nil {
		return nil, fmt.Errorf("open runtime: %w", err)
	}
	return r, nil
}

// Run follows the World until ctx ends. Containers go on without it.
func (r *Runtime) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	for _, f := range []func(){func() { r.reports.run(ctx, r) }, func() { r.node.run(ctx) }, func() { r.guard.Run(ctx) }, func() { r.relist(ctx) }, func() { r.collectImages(ctx) }, func() { r.servePlugins(ctx) }, func() { r.sweepVolumes(ctx) }} {
		helpers.Add(1)
		go func() { defer helpers.Done(); f() }()
	}
	defer helpers.Wait()
	defer r.alive.Wait()
	defer r.removals.tasks.Wait()
	defer cancel()

	w := r.feed.World()
	r.all(ctx, w)
	rev, swept := w.Revision(), false
	for {
		if !swept && r.feed.World().Adopted().Commit != "" {
			swept = true
			r.sweep(ctx)
			r.sweepDevices()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.feed.Changed(rev):
		}
		changes, w, ok := r.feed.Since(rev)
		if ok {
			for i := range changes {
				r.change(ctx, &changes[i])
			}
		} else {
			w = r.feed.World()
			r.all(ctx, w)
		}
		rev = w.Revision()
	}
}

// all compares the whole World with the workers: at the start, and when changes
// were missed.
func (r *Runtime) all(ctx context.Context, w *state.World) {
	present := map[types.UID]bool{}
	for rec := range state.Share(w, r.cfg.Node).Pods() {
		present[rec.UID] = true
		r.pod(ctx, rec)
	}
	for rec := range state.Share(w, r.cfg.Node).Volumes() {
		r.volume(ctx, rec)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for uid, one := range r.workers {
		if !present[uid] {
			one.update(nil)
		}
		one.refresh()
	}
	r.node.ring()
}

// change is one change of the World.
func (r *Runtime) change(ctx context.Context, c *state.Change) {
	switch {
	case c.Ref.Group != "":
	case c.Ref.Kind == "Pod":
		r.podChange(ctx, c)
	case c.Ref.Kind == "ConfigMap", c.Ref.Kind == "Secret":
		if pullKeys(c.New) {
			r.repull(c.Ref.Namespace, true)
		}
		r.refresh(c.Ref)
	case c.Ref.Kind == "PersistentVolumeClaim":
		if c.Old == nil || c.New == nil || c.Old.Allocation != c.New.Allocation {
			r.refresh(c.Ref)
		}
	case c.Ref.Kind == "PersistentVolume":
		r.volumeChange(ctx, c)
	case c.Ref == manifest.NodeRef(string(r.cfg.Node)):
		r.nodeChange(c)
	}
}

// refresh wakes the Pods that read an object.
func (r *Runtime) refresh(ref manifest.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.readers[ref] {
		w.refresh()
	}
}

func (r *Runtime) podChange(ctx context.Context, c *state.Change) {
	old, now := c.Old, c.New
	if old != nil && (now == nil || now.UID != old.UID) {
		r.mu.Lock()
		w := r.workers[old.UID]
		r.mu.Unlock()
		if w != nil {
			w.update(nil)
		}
	}
	if now == nil || now.Node != r.cfg.Node {
		return
	}
	if old != nil && old.UID == now.UID && !spent(old) && spent(now) {
		r.freed(now.UID)
	}
	if old != nil && old.UID == now.UID && old.Object == now.Object && old.Deletion == now.Deletion && old.Node == now.Node {
		return // only what was observed, most likely by this node
	}
	r.pod(ctx, now)
}

// nodeChange states how the node is in a record that does not say it, as one that took the place of another: its
// manifest came or went. It wakes the Pods that wait for their routes to go.
func (r *Runtime) nodeChange(c *state.Change) {
	if c.Old == nil || c.New == nil || c.New.Status == nil {
		r.node.ring()
		return
	}
	if c.Old.Routed == c.New.Routed {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		if w.ending.Load() {
			w.ring()
		}
	}
}

// pod hands a record to its worker, which it makes if there is none.
func (r *Runtime) pod(ctx context.Context, rec *state.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.workers[rec.UID]; w != nil {
		w.update(rec)
		return
	}
	if r.closing.Load() {
		return
	}
	r.hire(ctx, newWorker(r, rec))
}

// hire starts a worker; the lock is held.
func (r *Runtime) hire(ctx context.Context, w *worker) {
	r.workers[w.uid] = w
	refs := references(w.record)
	for _, ref := range refs {
		if r.readers[ref] == nil {
			r.readers[ref] = map[types.UID]*worker{}
		}
		r.readers[ref][w.uid] = w
	}
	r.alive.Add(1)
	go func() {
		defer r.alive.Done()
		w.run(ctx)
		if ctx.Err() != nil {
			return
		}
		r.settling.done(w.uid)
		r.freed(w.uid)
		r.devices.Release(string(w.uid))
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.workers, w.uid)
		for _, ref := range refs {
			if delete(r.readers[ref], w.uid); len(r.readers[ref]) == 0 {
				delete(r.readers, ref)
			}
		}
	}()
}

// references are the ConfigMaps and Secrets that a Pod reads, and its claims.
func references(rec *state.Record) []manifest.Ref {
	pod := rec.Pod()
	if pod == nil {
		return nil
	}
	configMaps, secrets := manifest.PodReferences(&pod.Spec)
	var refs []manifest.Ref
	for _, name := range configMaps {
		refs = append(refs, manifest.ConfigMapRef(rec.Ref.Namespace, name))
	}
	for _, name := range secrets {
		refs = append(refs, manifest.SecretRef(rec.Ref.Namespace, name))
	}
	for name := range manifest.PodClaims(pod) {
		refs = append(refs, manifest.ClaimRef(rec.Ref.Namespace, name))
	}
	return refs
}

// sweep ends the sandboxes on disk that no Pod of the World belongs to. It runs once
// a commit is adopted, when the World is whole.
func (r *Runtime) sweep(ctx context.Context) {
	known := map[types.UID]bool{}
	for rec := range r.view().Pods() {
		known[rec.UID] = true
	}
	r.sweepEvicted(known)
	r.sweepLinks()
	for _, uid := range r.onDisk() {
		r.mu.Lock()
		if !known[uid] && r.workers[uid] == nil {
			r.log.Info("sandbox of an unknown pod is removed", "uid", string(uid))
			r.hire(ctx, r.orphan(uid))
		}
		r.mu.Unlock()
	}
}

// onDisk are the Pods that have a directory here.
func (r *Runtime) onDisk() []types.UID {
	seen := map[types.UID]bool{}
	var out []types.UID
	for _, dir := range []string{r.cfg.RunDir, r.cfg.DataDir} {
		entries, err := os.ReadDir(filepath.Join(dir, "pods"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.log.Warn("pod directories are not listed", "dir", dir, "err", err)
		}
		for _, e := range entries {
			if uid := types.UID(e.Name()); e.IsDir() && !seen[uid] {
				seen[uid] = true
				out = append(out, uid)
			}
		}
	}
	return out
}

// orphan is the worker of a Pod that is not in the World: it only takes it away.
func (r *Runtime) orphan(uid types.UID) *worker {
	rec := r.remembered(uid)
	lost := rec == nil
	if lost {
		rec = &state.Record{Ref: manifest.PodRef("unknown", string(uid)), UID: uid, Object: &corev1.Pod{}}
	}
	w := newWorker(r, rec)
	if logs := r.logsOf(uid); lost && logs != "" {
		w.paths.logs = logs
	}
	w.desired.Gone, w.desired.GoneAt = true, time.Now()
	return w
}

func (r *Runtime) view() state.View { return state.Share(r.feed.World(), r.cfg.Node) }

// slot waits until a container may be started.
func (r *Runtime) slot(ctx context.Context) (release func(), err error) {
	select {
	case r.starts <- struct{}{}:
		return func() { <-r.starts }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// own are the directories that no Pod may see.
func (r *Runtime) own() []string { return []string{r.cfg.DataDir, r.cfg.RunDir} }

// resolver is the address of the cluster's DNS, not valid while there is none.
func (r *Runtime) resolver(view state.View) netip.Addr {
	if r.cfg.DNS != nil {
		return r.cfg.DNS()
	}
	rec := view.Service("kube-system", "kube-dns")
	if rec == nil || rec.Allocation == nil || len(rec.Allocation.ClusterIPs) == 0 {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(rec.Allocation.ClusterIPs[0])
	if err != nil {
		return netip.Addr{}
	}
	return addr
}

// warnOnce logs what this machine does not allow, once.
func (r *Runtime) warnOnce(text string) {
	if _, told := r.warned.LoadOrStore(text, true); !told {
		r.log.Warn("not possible on this machine", "what", text)
	}
}
