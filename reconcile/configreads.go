package reconcile

import (
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
)

// reads are the ConfigMaps and Secrets, without their namespace, whose content the containers of a template are
// given once, when they start, each with what is read of it.
type reads map[manifest.Ref]*keysRead

// keysRead is what is read of an object: all of it, or some keys.
type keysRead struct {
	all  bool
	keys map[string]bool
}

// String names the selection: equal selections give equal texts.
func (k *keysRead) String() string {
	if k.all {
		return "*"
	}
	return strings.Join(slices.Sorted(maps.Keys(k.keys)), "/") // which no key holds
}

func (k *keysRead) add(key string) {
	if k.keys == nil {
		k.keys = map[string]bool{}
	}
	k.keys[key] = true
}

// configReads finds what the containers of a template read once: variables, which arguments may name too, and parts of
// volumes (subPath). An object that is read so is not shown as files in another state: what volumes show of it counts
// as read, all of it or the keys that they list.
func configReads(spec *corev1.PodSpec) reads {
	all, once := reads{}, reads{}
	into := func(r reads, ref manifest.Ref) *keysRead {
		if r[ref] == nil {
			r[ref] = &keysRead{}
		}
		return r[ref]
	}
	var mounts []corev1.VolumeMount
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			variables(&list[i], func(ref manifest.Ref, key string) {
				k := into(once, ref)
				if key == "" {
					k.all = true
				} else {
					k.add(key)
				}
			})
			mounts = append(mounts, list[i].VolumeMounts...)
		}
	}
	for i := range spec.Volumes {
		for _, s := range configSources(&spec.Volumes[i]) {
			k := into(all, s.ref)
			for _, item := range s.items {
				k.add(item.Key)
			}
			for _, m := range mounts {
				if m.Name == spec.Volumes[i].Name && s.mounted(&m, k) {
					into(once, s.ref)
				}
			}
		}
	}
	for ref, k := range once {
		if shown := all[ref]; shown != nil {
			k.all = k.all || shown.all
			for key := range shown.keys {
				k.add(key)
			}
		}
	}
	return once
}

// variables calls f with what the variables of a container are made of; no key is all keys.
func variables(c *corev1.Container, f func(ref manifest.Ref, key string)) {
	for i := range c.EnvFrom {
		if r := c.EnvFrom[i].ConfigMapRef; r != nil && r.Name != "" {
			f(manifest.ConfigMapRef("", r.Name), "")
		}
		if r := c.EnvFrom[i].SecretRef; r != nil && r.Name != "" {
			f(manifest.SecretRef("", r.Name), "")
		}
	}
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from == nil {
			continue
		}
		if r := from.ConfigMapKeyRef; r != nil && r.Name != "" {
			f(manifest.ConfigMapRef("", r.Name), r.Key)
		}
		if r := from.SecretKeyRef; r != nil && r.Name != "" {
			f(manifest.SecretRef("", r.Name), r.Key)
		}
	}
}

// configSource is a ConfigMap or Secret whose keys a volume shows as files: all, or the items.
type configSource struct {
	ref   manifest.Ref
	items []corev1.KeyToPath
}

func configSources(v *corev1.Volume) (sources []configSource) {
	add := func(ref manifest.Ref, items []corev1.KeyToPath) {
		if ref.Name != "" {
			sources = append(sources, configSource{ref, items})
		}
	}
	switch {
	case v.ConfigMap != nil:
		add(manifest.ConfigMapRef("", v.ConfigMap.Name), v.ConfigMap.Items)
	case v.Secret != nil:
		add(manifest.SecretRef("", v.Secret.SecretName), v.Secret.Items)
	case v.Projected != nil:
		for i := range v.Projected.Sources {
			if s := v.Projected.Sources[i].ConfigMap; s != nil {
				add(manifest.ConfigMapRef("", s.Name), s.Items)
			}
			if s := v.Projected.Sources[i].Secret; s != nil {
				add(manifest.SecretRef("", s.Name), s.Items)
			}
		}
	}
	return sources
}

// mounted adds what a mount of the volume shows of the source to k. It says whether the mount is of a part of the
// volume, which never changes under a container, and the source may be in that part.
func (s *configSource) mounted(m *corev1.VolumeMount, k *keysRead) (part bool) {
	part = m.SubPath != "" || m.SubPathExpr != ""
	sub := path.Clean(m.SubPath)
	if !part || m.SubPathExpr != "" || sub == "." {
		if len(s.items) == 0 {
			k.all = true
		}
		return part
	}
	if len(s.items) == 0 {
		if strings.Contains(sub, "/") {
			return false // keys have no folders
		}
		k.add(sub)
		return true
	}
	return slices.ContainsFunc(s.items, func(item corev1.KeyToPath) bool {
		at := path.Clean(item.Path)
		return at == sub || strings.HasPrefix(at, sub+"/") || strings.HasPrefix(sub, at+"/")
	})
}
