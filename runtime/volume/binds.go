package volume

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"

	"writ/runtime/oci"
)

// Binds opens the volume mounts of a container. close ends the handles behind
// them; it is never nil and is called when the container was made or given up.
func (s *Set) Binds(f *oci.Facts, c *corev1.Container, env map[string]string) (binds []oci.Bind, closeAll func() error, err error) {
	var handles []*Handle
	closeAll = func() error {
		var errs []error
		for _, h := range handles {
			errs = append(errs, h.Close())
		}
		return errors.Join(errs...)
	}
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		v := volumeOf(&f.Pod.Spec, m.Name)
		if v == nil {
			return nil, closeAll, fmt.Errorf("volume %q is not declared", m.Name)
		}
		bind, h, err := s.bind(v, m, env)
		if h != nil {
			handles = append(handles, h)
		}
		if err != nil {
			return nil, closeAll, err
		}
		binds = append(binds, bind)
	}
	return binds, closeAll, nil
}

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
	dir := s.Path(v.Name)
	var h *Handle
	if v.HostPath != nil {
		var hidden []string
		if h, hidden, err = OpenHostPath(v.HostPath, s.Own); err != nil {
			return b, nil, err
		}
		if sub == "" {
			b.Source, b.Hidden = h.Path(), hidden
			return b, h, nil
		}
		dir = h.Path()
		defer h.Close()
	}
	if sub == "" {
		return b, nil, nil
	}
	inner, err := OpenBeneath(dir, sub)
	if err != nil {
		return b, nil, err
	}
	if v.HostPath != nil {
		if b.Hidden, err = hide(inner.Real(), s.Own); err != nil {
			inner.Close()
			return b, nil, err
		}
	}
	b.Source = inner.Path()
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
