package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"writ/runtime/shim"
	"writ/runtime/volume"
)

// shmSize is each Pod's /dev/shm, boxSize bounds what its containers write to the
// files that the node made for them.
const (
	shmSize = 64 << 20
	boxSize = 16 << 20
)

// begin takes over what the World knows of the Pod from an earlier life.
func (w *worker) begin() {
	status := w.record.PodStatus().DeepCopy()
	if w.record.Status != nil {
		w.reported = status
		w.desired.Started = status.StartTime
	}
	if status.Phase == corev1.PodFailed && status.Reason != "" {
		w.o.Failed = &Failure{Reason: status.Reason, Message: status.Message}
	}
	w.rememberEviction()
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range list {
			if list[i].ContainerID != "" || list[i].RestartCount > 0 {
				w.o.container(list[i].Name).Attempts = int(list[i].RestartCount) + 1
			}
		}
	}
	w.ending.Store(w.record.Deletion != nil || w.desired.Gone)
	w.desired.Pod = w.allot(w.full()) // one that has ended is not resized
}

// prepare makes the sandbox, or finds it with all that runs in it.
func (w *worker) prepare() {
	ends := w.record.Deletion != nil || w.desired.Gone // not what is on its way to this worker: the next plan goes by the same
	if (ends || w.o.Failed != nil || !w.admit()) && !exists(w.paths.run) {
		w.o.Sandbox.succeed() // nothing runs, and nothing is to
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	release, err := w.r.slot(ctx)
	if err != nil {
		return
	}
	defer release()
	if err := w.makeSandbox(ctx); err != nil {
		if w.ctx.Err() != nil {
			return
		}
		w.o.Sandbox.fail(err, time.Now())
		w.await(err)
		w.r.log.Warn("sandbox is not made", "pod", w.ref.String(), "uid", string(w.uid), "err", err)
		w.event(corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: %v", err)
		return
	}
	w.o.Sandbox.succeed()
}

// scarce is an error of Attach that goes away by itself: something is rare, and the Pod stands in line.
type scarce interface {
	error
	RetryAfter() time.Duration // nothing will have changed before
	Ready() <-chan struct{}    // closed when it is this Pod's turn
}

// await tries again when what the sandbox lacks is there, and not before.
func (w *worker) await(err error) {
	var lack scarce
	if !errors.As(err, &lack) {
		return
	}
	w.o.Sandbox.Retry = time.Now().Add(max(lack.RetryAfter(), time.Second))
	w.retryOn(lack.Ready(), &w.o.Sandbox)
}

func (w *worker) makeSandbox(ctx context.Context) error {
	pod, fresh := w.desired.Pod, !exists(w.paths.run)
	if err := w.chooseRuntime(); err != nil {
		return err
	}
	box, err := w.sandbox()
	if err != nil {
		return err
	}
	for _, dir := range []string{w.paths.run, w.paths.data} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	var s podShim
	netns := ""
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		var err error
		s, err = w.r.shims.Launch(gctx, w.paths.run)
		return err
	})
	group.Go(func() error {
		if !pod.Spec.HostNetwork {
			var err error
			if netns, w.o.IP, err = w.r.network.Attach(gctx, string(w.uid), w.ref.Namespace, w.ref.Name); err != nil {
				return fmt.Errorf("attach to the pod network: %w", err)
			}
		} else {
			w.o.IP = w.r.cfg.NodeIP
		}
		if err := w.r.tmpfs(w.paths.box(), boxSize); err != nil {
			return err
		}
		if !pod.Spec.HostIPC {
			if err := w.r.tmpfs(w.paths.shm(), shmSize); err != nil {
				return err
			}
		}
		return w.writeEtc()
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := w.furnish(&box); err != nil {
		return err
	}
	box.NetNSPath = netns
	made, err := s.Sandbox(ctx, box)
	if err != nil && !errors.Is(err, shim.ErrConflict) { // one of an older daemon may differ in detail: it stays
		return err
	}
	for _, warning := range made.Warnings {
		w.r.warnOnce(warning)
	}
	var found shim.PodState
	if !fresh {
		if found, err = s.State(ctx); err != nil {
			return err
		}
	}
	w.shim = s
	w.adopt(found)
	w.removeStrangers()
	w.follow()
	if !fresh {
		w.upgradeShim()
	}
	return nil
}

// adopt takes over the containers that a shim holds.
func (w *worker) adopt(found shim.PodState) {
	w.seq = found.Seq
	containers := slices.Clone(found.Containers)
	slices.SortStableFunc(containers, func(a, b shim.Container) int { return a.Attempt - b.Attempt })
	for _, c := range containers {
		w.observe(c)
	}
	for _, oc := range w.o.Containers {
		if oc.Run == nil {
			continue
		}
		if oc.Run.Running() {
			oc.Hook = HookDone // it ran before this daemon: hooks are at least once, not always twice
			w.inherit(oc)
		}
	}
}

// removeStrangers takes away files of containers that the shim does not know: a
// start that was cut off, or a life before a reboot.
func (w *worker) removeStrangers() {
	entries, err := os.ReadDir(w.paths.containers())
	if err != nil {
		return // there were none yet
	}
	known := map[string]bool{}
	for _, oc := range w.o.Containers {
		for _, r := range []*Run{oc.Run, oc.Last} {
			if r != nil {
				known[folderName(r.ID)], known[r.ID] = true, true
			}
		}
	}
	for _, e := range entries {
		if known[e.Name()] {
			continue
		}
		if err := w.removeFolder(w.ctx, e.Name()); err != nil {
			w.r.log.Warn("files of a container stay", "pod", w.ref.String(), "container", e.Name(), "err", err)
		}
	}
}

// inherit takes a running container's readiness from the status this node stated before.
func (w *worker) inherit(oc *Observation) {
	if w.reported == nil {
		return
	}
	for _, list := range [][]corev1.ContainerStatus{w.reported.InitContainerStatuses, w.reported.ContainerStatuses} {
		for i := range list {
			if list[i].ContainerID == statusID(oc.Run.ID) {
				oc.Ready = list[i].Ready
				oc.Passed = list[i].Started != nil && *list[i].Started
			}
		}
	}
}

// observe takes in what the shim says of one container.
func (w *worker) observe(c shim.Container) {
	oc := w.o.container(c.Name)
	switch {
	case oc.Run != nil && oc.Run.ID == c.ID:
		if oc.Run.Past || older(&oc.Run.Container, &c) {
			return
		}
		oc.Run.Container = c
	case oc.Last != nil && oc.Last.ID == c.ID:
		if !older(&oc.Last.Container, &c) {
			oc.Last.Container = c
		}
		return
	case oc.Run == nil || c.Attempt > oc.Run.Attempt:
		oc.Last, oc.Run = oc.Run, &Run{Container: c}
		oc.Hook, oc.Ready, oc.Passed, oc.Unhealthy, oc.UnhealthyGrace, oc.Kill, oc.HookFailure = HookPending, false, false, "", nil, nil, ""
		oc.Create, oc.CreateReason, oc.Anew = Attempt{}, "", false // also where the answer to its start was lost
		oc.Attempts = c.Attempt
	case oc.Last == nil || c.Attempt > oc.Last.Attempt:
		oc.Last = &Run{Container: c}
		return
	default:
		return
	}
	if !c.StopDeadline.IsZero() && oc.Run.Running() {
		oc.Kill = &Kill{Deadline: c.StopDeadline, Hooked: true, Asked: true}
	}
	for _, r := range []*Run{oc.Run, oc.Last} {
		if r.Exited() && r.Message == "" {
			r.Message = w.terminationMessage(r)
		}
	}
	if oc.Run.Exited() {
		w.ended(c.Name, oc)
	}
}

// ended is after a container's process: what was about it stops.
func (w *worker) ended(name string, oc *Observation) {
	oc.Ready, oc.Passed, oc.Unhealthy, oc.Kill = false, false, "", nil
	for _, m := range []map[string]context.CancelFunc{w.probes, w.lives, w.hooks, w.stops} {
		if cancel := m[name]; cancel != nil {
			cancel()
			delete(m, name)
		}
	}
	if err := volume.Unmount(w.paths.rootfs(oc.Run.ID)); err != nil {
		w.r.log.Warn("root file system stays mounted", "pod", w.ref.String(), "container", name, "err", err)
	}
}

// writeEtc makes the files that every container sees.
func (w *worker) writeEtc() error {
	pod := w.desired.Pod
	if err := os.MkdirAll(filepath.Dir(w.paths.etc("hosts")), 0o755); err != nil {
		return err
	}
	view := w.r.view()
	domain := w.domain()
	host, err := os.ReadFile(w.r.cfg.ResolvConf)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the node's resolver configuration: %w", err)
	}
	var base []byte
	if pod.Spec.HostNetwork {
		if base, err = os.ReadFile("/etc/hosts"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	resolver, notices := resolvConf(pod, w.r.resolver(view), domain, string(host))
	for _, n := range notices {
		w.event(corev1.EventTypeWarning, n.reason, "%s", n.message)
	}
	files := map[string]string{
		"hosts":       hostsFile(pod, w.o.IP.String(), domain, string(base)),
		"hostname":    w.podHostname() + "\n",
		"resolv.conf": resolver,
	}
	for name, text := range files {
		if _, err := os.Stat(w.paths.etc(name)); err == nil && view.Adopted().Commit == "" {
			continue // a pod found running before the cluster's settings are known has the right ones
		}
		if err := writeInPlace(w.paths.etc(name), text); err != nil {
			return err
		}
	}
	return nil
}

// domain is the cluster's.
func (w *worker) domain() string {
	if d := w.r.view().Adopted().Settings.Spec.ClusterDomain; d != "" {
		return d
	}
	return "cluster.local"
}

func (w *worker) podHostname() string {
	if w.desired.Pod.Spec.HostNetwork {
		if name, err := os.Hostname(); err == nil {
			return name
		}
	}
	name, _ := hostname(w.desired.Pod, w.domain()) // makeSandbox has seen to it that it fits
	return name
}

// writeInPlace keeps the inode, which containers have mounted.
func writeInPlace(name, text string) error {
	if old, err := os.ReadFile(name); err == nil && string(old) == text {
		return nil
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
