package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"

	"writ/runtime/oci"
)

// Binds opens the volume mounts of a container. What was checked is bound below
// stage, a directory of the container's own, because a container's mounts can only
// be made of names. done takes those away again; it is never nil and is called when
// the container was made or given up.
func (s *Set) Binds(f *oci.Facts, c *corev1.Container, env map[string]string, stage string) (binds []oci.Bind, done func() error, err error) {
	done = func() error { return Unstage(stage) }
	if err := Unstage(stage); err != nil {
		return nil, done, err
	}
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		v := volumeOf(&f.Pod.Spec, m.Name)
		if v == nil {
			return nil, done, fmt.Errorf("volume %q is not declared", m.Name)
		}
		bind, h, err := s.bind(v, m, env)
		if err != nil {
			return nil, done, err
		}
		if h != nil {
			bind.Source = filepath.Join(stage, strconv.Itoa(i))
			if err := errors.Join(h.bindTo(bind.Source), h.Close()); err != nil {
				return nil, done, err
			}
		}
		binds = append(binds, bind)
	}
	return binds, done, nil
}

// Unstage takes away what Binds bound; a directory that is not there is fine.
func Unstage(stage string) error {
	entries, err := os.ReadDir(stage)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries { // all of them first: one may show the others
		if err := Unmount(filepath.Join(stage, e.Name())); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(stage, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(stage)
}

// bind gives the mount of one volume, with a handle where its source has to be bound.
func (s *Set) bind(v *corev1.Volume, m *corev1.VolumeMount, env map[string]string) (oci.Bind, *Handle, error) {
	b := oci.Bind{Source: s.Path(v.Name), Target: m.MountPath, Recursive: true,
		ReadOnly: m.ReadOnly || Projected(v)} // files of the node's making are read-only, as upstream has it
	if m.MountPropagation != nil {
		b.Propagation = *m.MountPropagation
	}
	sub, err := subPath(m, env)
	if err != nil {
		return b, nil, err
	}
	if v.HostPath == nil {
		if sub == "" {
			return b, nil, nil
		}
		h, err := OpenBeneath(s.Path(v.Name), sub)
		return b, h, err
	}
	h, hidden, err := OpenHostPath(v.HostPath, s.Own)
	if err != nil {
		return b, nil, err
	}
	if sub == "" {
		b.Hidden = hidden
		return b, h, nil
	}
	defer h.Close()
	inner, err := OpenBeneath(h.Path(), sub)
	if err != nil {
		return b, nil, err
	}
	if b.Hidden, err = hide(inner.Real(), s.Own); err != nil {
		inner.Close()
		return b, nil, err
	}
	return b, inner, nil
}

func subPath(m *corev1.VolumeMount, env map[string]string) (string, error) {
	if m.SubPathExpr == "" {
		return m.SubPath, nil
	}
	missing := false
	out := expansion.Expand(m.SubPathExpr, func(name string) string {
		value, ok := env[name]
		missing = missing || !ok
		return value
	})
	if missing {
		return "", fmt.Errorf("missing value for %q", m.SubPathExpr)
	}
	if strings.HasPrefix(out, "/") || strings.Contains("/"+out+"/", "/../") {
		return "", fmt.Errorf("subPath %q must be relative and must not hold \"..\"", out)
	}
	return out, nil
}

func volumeOf(spec *corev1.PodSpec, name string) *corev1.Volume {
	for i := range spec.Volumes {
		if spec.Volumes[i].Name == name {
			return &spec.Volumes[i]
		}
	}
	return nil
}
