package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/oci"
)

// Binds opens the volume mounts of a container. What was checked is bound below
// stage, a directory of the container's own, because a container's mounts can only
// be made of names. done takes those away again; it is never nil and is called when
// the container was made or given up.
func (s *Set) Binds(ctx context.Context, f *oci.Facts, c *corev1.Container, env map[string]string, stage string) (binds []oci.Bind, done func() error, err error) {
	done = func() error { return Unstage(context.WithoutCancel(ctx), s.Calls, stage) }
	if err := done(); err != nil {
		return nil, done, err
	}
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		v := volumeOf(&f.Pod.Spec, m.Name)
		if v == nil {
			return nil, done, oci.ConfigErrorf("cannot find volume %q to mount into container %q", m.Name, c.Name)
		}
		sub, err := subPath(m, env)
		if err != nil {
			return nil, done, err
		}
		b, err := s.backing(v)
		if err != nil {
			return nil, done, err
		}
		bind := oci.Bind{Source: s.Path(v.Name), Target: m.MountPath, Recursive: true, NoExec: v.Image != nil, Mapped: v.Image != nil,
			ReadOnly: m.ReadOnly || b.readOnly || Projected(v) || v.Image != nil} // files of the node's making are read-only, as upstream has it
		if m.MountPropagation != nil {
			bind.Propagation = *m.MountPropagation
		}
		if bind.RecursiveReadOnly, err = RecursiveReadOnly(m); err != nil {
			return nil, done, err
		}
		if err := s.bind(ctx, &bind, &want{v: &b, m: m, container: c.Name, sub: sub, stage: filepath.Join(stage, strconv.Itoa(i))}); err != nil {
			return nil, done, err
		}
		binds = append(binds, bind)
	}
	return binds, done, nil
}

// want is one mount to be made ready.
type want struct {
	v         *backing
	m         *corev1.VolumeMount
	container string
	sub       string
	stage     string
}

// bind fills in where the mount comes from. Whatever asks a file system that is not the
// node's own is a call that may be abandoned.
func (s *Set) bind(ctx context.Context, b *oci.Bind, w *want) error {
	v := w.v
	if v.Image != nil {
		if err := s.mountImage(v.Volume); err != nil {
			return err
		}
	}
	if v.folder != "" {
		b.Source = s.Folders.Path(v.folder)
	}
	if v.HostPath == nil && w.sub == "" && (v.folder == "" || w.m.MountPropagation == nil) {
		return nil
	}
	source := "volume " + b.Source
	switch {
	case v.HostPath != nil:
		source = hostPathSource(v.Volume)
	case v.NFS != nil:
		source = nfsSource(v.Volume)
	}
	root := b.Source
	found, err := do(ctx, s.Calls, source, func() (staged, error) { return s.stage(w, root) }, func(staged) {
		_ = unstage(w.stage) // the container was given up long ago
	})
	if err != nil {
		return err
	}
	b.Source, b.Hidden = w.stage, found.hidden
	return checkPropagation(b.Propagation, found.real)
}

// staged is what was found under the name of a volume: where it really is, and what below
// it must not be shown.
type staged struct {
	real   string
	hidden []string
}

// stage opens what a container is to see and binds it to a name. root is where a volume lies that is no hostPath.
func (s *Set) stage(w *want, root string) (staged, error) {
	host := w.v.HostPath != nil
	if host {
		h, hidden, err := OpenHostPath(w.v.HostPath, s.Own)
		if err != nil {
			return staged{}, err
		}
		defer h.Close()
		if w.sub == "" {
			if err := hideable(w.m, h.Real(), hidden); err != nil {
				return staged{}, err
			}
			return staged{h.Real(), hidden}, h.bindTo(w.stage)
		}
		root = h.Path()
	}
	inner, err := OpenBeneath(root, w.sub)
	if err != nil {
		return staged{}, newSubPathError(w.m, w.container, err)
	}
	defer inner.Close()
	found := staged{real: inner.Real()}
	if host {
		if found.hidden, err = hide(inner.Real(), s.Own); err != nil {
			return staged{}, err
		}
		if err := hideable(w.m, inner.Real(), found.hidden); err != nil {
			return staged{}, err
		}
	}
	return found, inner.bindTo(w.stage)
}

// Unstage takes away what Binds bound; a directory that is not there is fine.
func Unstage(ctx context.Context, c *Calls, stage string) error {
	if _, err := os.Lstat(stage); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := do(ctx, c, "unmount "+stage, func() (struct{}, error) {
		entries, err := os.ReadDir(stage)
		if err != nil {
			return struct{}{}, err
		}
		for _, e := range entries { // all of them first: one may show the others
			if err := detach(filepath.Join(stage, e.Name())); err != nil {
				return struct{}{}, err
			}
		}
		for _, e := range entries {
			if err := os.Remove(filepath.Join(stage, e.Name())); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, os.Remove(stage)
	}, nil)
	return err
}

// unstage takes away one mount that came too late.
func unstage(name string) error {
	if err := detach(name); err != nil {
		return err
	}
	return os.Remove(name)
}

func volumeOf(spec *corev1.PodSpec, name string) *corev1.Volume {
	for i := range spec.Volumes {
		if spec.Volumes[i].Name == name {
			return &spec.Volumes[i]
		}
	}
	return nil
}

// mountImage shows an image's files as a volume: read-only, and nothing in it is run.
func (s *Set) mountImage(v *corev1.Volume) error {
	dir := s.Path(v.Name)
	if mounted(dir) {
		return nil
	}
	if s.Image == nil {
		return fmt.Errorf("volume %q: images are not mounted by this node", v.Name)
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	return s.Image(v, dir)
}
