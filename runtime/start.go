package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/image"
	"writ/runtime/oci"
	"writ/runtime/shim"
	"writ/runtime/volume"
	"writ/state"
)

// configRetry is how soon a container is tried again whose ConfigMap or Secret is
// missing; when it appears the worker is woken at once.
const configRetry = 10 * time.Second

// start makes a container and starts its process.
func (w *worker) start(c *corev1.Container, level int) {
	release, err := w.r.slot(w.ctx)
	if err != nil {
		return
	}
	defer release()
	oc := w.o.container(c.Name)
	attempt := oc.Attempts
	if oc.Run != nil {
		attempt = oc.Run.Attempt + 1
	}
	id := containerID(w.uid, c.Name, attempt)
	begun := time.Now()
	w.widen(c)
	made, err := w.create(c, oc.Image.Image, id, attempt, level)
	switch {
	case err == nil:
	case errors.Is(err, shim.ErrStart):
		w.about(c, corev1.EventTypeNormal, "Created", "Container created")
		w.about(c, corev1.EventTypeWarning, "Failed", "Error: %v", err)
	case errors.Is(err, shim.ErrExists):
		w.unanswered(c, id)
		return
	default:
		if w.ctx.Err() != nil {
			return
		}
		switch held := w.clear(id); {
		case errors.Is(held, shim.ErrExists): // the answer was lost, not the container
			w.unanswered(c, id)
			return
		case held != nil:
			w.r.log.Debug("files of a container stay", "pod", w.ref.String(), "err", held)
		}
		w.notCreated(c, oc, err)
		return
	}
	w.actuated(c)
	old := oc.Last
	w.observe(made)
	oc.Passed = c.StartupProbe == nil
	if c.Lifecycle == nil || c.Lifecycle.PostStart == nil {
		oc.Hook = HookDone
	}
	if err == nil {
		w.about(c, corev1.EventTypeNormal, "Created", "Container created")
		w.about(c, corev1.EventTypeNormal, "Started", "Container started")
	}
	w.linkLog(c.Name, made)
	if old != nil {
		w.forget(old)
	}
	w.r.log.Debug("container started", "pod", w.ref.String(), "container", c.Name, "attempt", attempt, "took", time.Since(begun))
}

// notCreated keeps why a container could not be made, in Kubernetes' words.
func (w *worker) notCreated(c *corev1.Container, oc *Observation, err error) {
	now := time.Now()
	oc.Create.fail(err, now)
	oc.CreateReason = "CreateContainerError"
	if errors.Is(err, oci.ErrConfig) {
		oc.CreateReason = "CreateContainerConfigError"
		oc.Create.Retry = now.Add(configRetry)
	}
	w.awaitAnswer(err, &oc.Create)
	if errors.Is(err, errMount) {
		oc.Image.Image = nil // the image may be gone: look for it again
	}
	w.about(c, corev1.EventTypeWarning, "Failed", "Error: %v", err)
	w.ring()
}

// clear removes the files of a container that was not made. The error is
// shim.ErrExists, and nothing is removed, if the shim has it after all.
func (w *worker) clear(id string) error {
	found, err := w.shim.State(w.ctx)
	if err != nil {
		return fmt.Errorf("ask whether the container is there: %w", err)
	}
	if slices.ContainsFunc(found.Containers, func(c shim.Container) bool { return c.ID == id }) {
		return shim.ErrExists
	}
	return w.removeFiles(id)
}

// unanswered takes over a container that the shim made without this daemon hearing of it.
func (w *worker) unanswered(c *corev1.Container, id string) {
	w.resync()
	if r := w.o.container(c.Name).Run; r != nil && r.ID == id {
		w.actuated(c)
	}
}

// resync asks the shim what there is.
func (w *worker) resync() {
	found, err := w.shim.State(w.ctx)
	if err != nil {
		w.r.log.Warn("shim does not answer", "pod", w.ref.String(), "err", err)
		return
	}
	for _, c := range found.Containers {
		w.observe(c)
	}
}

var errMount = errors.New("root file system")

func (w *worker) create(c *corev1.Container, img *image.Image, id string, attempt, level int) (shim.Container, error) {
	if exists(w.paths.container(id)) { // of a start that was cut off
		if err := w.clear(id); err != nil {
			return shim.Container{}, err
		}
	}
	f := w.facts()
	env, err := oci.Env(f, c)
	if err != nil {
		return shim.Container{}, err
	}
	binds, unstage, err := w.volumeSet().Binds(w.ctx, f, c, env, w.paths.stage(id))
	defer func() {
		if err := unstage(); err != nil {
			w.r.log.Warn("mounts stay staged", "pod", w.ref.String(), "container", c.Name, "err", err)
		}
	}()
	if err != nil {
		return shim.Container{}, w.notBound(c.Name, err)
	}
	dir, rootfs := w.paths.container(id), w.paths.rootfs(id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return shim.Container{}, err
	}
	labels, err := w.containerLabels(c)
	if err != nil {
		return shim.Container{}, err
	}
	if err := w.mountRoot(img, id, labels); err != nil {
		return shim.Container{}, fmt.Errorf("%w: %w", errMount, err)
	}
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return shim.Container{}, fmt.Errorf("%w: %w", errMount, err)
	}
	defer root.Close()
	spec, err := oci.Spec(f, &oci.Input{
		Container: c, RootPath: rootfs, Root: root.FS(),
		ImageUser: img.Config.User, ImageEnv: img.Config.Env, ImageEntrypoint: img.Config.Entrypoint, Cmd: img.Config.Cmd, ImageDir: img.Config.WorkingDir,
		CgroupPath: w.r.cfg.cgroup(w.uid) + "/" + id, Hostname: w.podHostname(), ShmPath: w.shmPath(),
		Files: w.files(c, id), Binds: binds, SysPath: shim.SysPath(w.paths.run), ProcessLabel: labels.Process, MountLabel: labels.Mount,
	})
	if err != nil {
		return shim.Container{}, err
	}
	if err := w.makeFiles(c, id); err != nil {
		return shim.Container{}, err
	}
	if err := w.give(c, env, spec); err != nil {
		return shim.Container{}, err
	}
	by, err := w.runtime()
	if err != nil {
		return shim.Container{}, err
	}
	return w.shim.Start(w.ctx, shim.StartRequest{
		ID: id, Name: c.Name, Attempt: attempt, Spec: spec, Runtime: by,
		Labels: map[string]string{labelImage: c.Image, labelImageID: img.ID, labelStatus: imageStatus(img), labelLevel: strconv.Itoa(level), labelUser: userLabel(spec.Process.User)},
		Log:    shim.LogConfig{Path: w.paths.log(c.Name, attempt), MaxSize: w.r.cfg.LogMaxSize, MaxFiles: w.r.cfg.LogMaxFiles},
		Stdin:  c.Stdin, StdinOnce: c.StdinOnce, StopSignal: stopSignal(c, img),
	})
}

// imageStatus is what the container's status shows as its imageID.
func imageStatus(img *image.Image) string {
	if img.FromArchive {
		return state.ArchiveImage + img.StatusID()
	}
	return img.StatusID()
}

func stopSignal(c *corev1.Container, img *image.Image) string {
	if c.Lifecycle != nil && c.Lifecycle.StopSignal != nil {
		return string(*c.Lifecycle.StopSignal)
	}
	return img.Config.StopSignal
}

func (w *worker) shmPath() string {
	if w.desired.Pod.Spec.HostIPC {
		return "/dev/shm"
	}
	return w.paths.shm()
}

// files are what every container sees of the node's making.
func (w *worker) files(c *corev1.Container, id string) []oci.Bind {
	readOnly := c.SecurityContext != nil && c.SecurityContext.ReadOnlyRootFilesystem != nil && *c.SecurityContext.ReadOnlyRootFilesystem
	binds := []oci.Bind{
		{Source: w.paths.etc("hosts"), Target: "/etc/hosts", ReadOnly: readOnly},
		{Source: w.paths.etc("hostname"), Target: "/etc/hostname", ReadOnly: readOnly},
		{Source: w.paths.etc("resolv.conf"), Target: "/etc/resolv.conf", ReadOnly: readOnly},
	}
	if c.TerminationMessagePath != "" {
		binds = append(binds, oci.Bind{Source: w.paths.message(id), Target: c.TerminationMessagePath})
	}
	return binds
}

// makeFiles makes the termination message file, which anybody in the container may write.
func (w *worker) makeFiles(c *corev1.Container, id string) error {
	if c.TerminationMessagePath == "" {
		return nil
	}
	name := w.paths.message(id)
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return err
	}
	return os.Chmod(name, 0o666)
}

// linkLog makes the name that log collectors look for.
func (w *worker) linkLog(name string, c shim.Container) {
	if w.r.cfg.LogLinks == "" || c.LogPath == "" {
		return
	}
	link := w.r.cfg.link(w.desired.Pod, name, c.ID)
	err := os.MkdirAll(w.r.cfg.LogLinks, 0o755)
	if err == nil {
		err = os.Symlink(c.LogPath, link)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		w.r.log.Warn("log is not linked", "pod", w.ref.String(), "container", name, "err", err)
	}
}

// forget removes an attempt that is two runs back, with its log.
func (w *worker) forget(r *Run) {
	id := r.ID
	if err := w.removeFiles(id); err != nil {
		w.r.log.Warn("files of a container stay", "pod", w.ref.String(), "container", r.Name, "err", err)
	}
	w.removeLogs(r)
	if r.Past { // the shim knows nothing of it
		return
	}
	s := w.shim
	w.task(func() {
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		if err := s.Remove(ctx, id); err != nil && ctx.Err() == nil {
			w.r.log.Warn("container is not forgotten", "pod", w.ref.String(), "container", r.Name, "err", err)
		}
	})
}

func (w *worker) removeLogs(r *Run) {
	if r.LogPath != "" {
		old, _ := filepath.Glob(r.LogPath + "*")
		for _, name := range old {
			_ = os.Remove(name)
		}
	}
	if w.r.cfg.LogLinks != "" {
		_ = os.Remove(w.r.cfg.link(w.desired.Pod, r.Name, r.ID))
	}
}

func (w *worker) removeFiles(id string) error {
	return w.removeFolder(w.ctx, folderName(id))
}

// removeFolder takes away the files of one attempt, whatever is mounted there.
func (w *worker) removeFolder(ctx context.Context, name string) error {
	p := w.paths
	dir, boxed := p.folder(name), filepath.Join(p.box(), name)
	if err := volume.Unmount(filepath.Join(boxed, "rootfs")); err != nil {
		return err
	}
	if err := volume.Unmount(filepath.Join(dir, "rootfs")); err != nil { // where an older daemon had it
		return err
	}
	if err := volume.Unstage(ctx, &w.r.calls, filepath.Join(dir, "stage")); err != nil {
		return err
	}
	if layers := p.layers(name); exists(layers) { // of a start that was cut off
		if err := volume.UnmountBelow(ctx, &w.r.calls, layers); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(boxed), os.RemoveAll(dir))
}
