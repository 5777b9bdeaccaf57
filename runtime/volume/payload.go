package volume

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/oci"
)

// File is one file of a projected volume.
type File struct {
	Data []byte
	Mode uint32 // permission bits
	// UID owns the file where it is not -1: tokens belong to who runs the container.
	UID int64
}

// Payload is what a projected volume holds, by clean relative path.
type Payload map[string]File

// TokenFunc gives a token of the Pod's ServiceAccount that is good for a while.
type TokenFunc func(audience string, seconds int64) ([]byte, error)

// Projected says whether a volume is made of data (and has a Payload).
func Projected(v *corev1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil
}

// Build collects the files of a projected volume. An error tells what is missing,
// in upstream's words; it may be there later.
func Build(f *oci.Facts, v *corev1.Volume, token TokenFunc) (Payload, error) {
	p := Payload{}
	switch {
	case v.ConfigMap != nil:
		s := v.ConfigMap
		return p, configMap(f, p, s.Name, s.Items, mode(s.DefaultMode), s.Optional)
	case v.Secret != nil:
		s := v.Secret
		return p, secret(f, p, s.SecretName, s.Items, mode(s.DefaultMode), s.Optional)
	case v.DownwardAPI != nil:
		return p, downward(f, p, v.DownwardAPI.Items, mode(v.DownwardAPI.DefaultMode))
	case v.Projected != nil:
		for i := range v.Projected.Sources {
			if err := source(f, p, &v.Projected.Sources[i], mode(v.Projected.DefaultMode), token); err != nil {
				return nil, err
			}
		}
		return p, nil
	}
	return nil, fmt.Errorf("volume %q has no files to project", v.Name)
}

func mode(m *int32) uint32 {
	if m == nil {
		return 0o644
	}
	return uint32(*m)
}

func source(f *oci.Facts, p Payload, s *corev1.VolumeProjection, mode uint32, token TokenFunc) error {
	switch {
	case s.ConfigMap != nil:
		return configMap(f, p, s.ConfigMap.Name, s.ConfigMap.Items, mode, s.ConfigMap.Optional)
	case s.Secret != nil:
		return secret(f, p, s.Secret.Name, s.Secret.Items, mode, s.Secret.Optional)
	case s.DownwardAPI != nil:
		return downward(f, p, s.DownwardAPI.Items, mode)
	case s.ServiceAccountToken != nil:
		return accountToken(f, p, s.ServiceAccountToken, mode, token)
	}
	return fmt.Errorf("projected volume source is not supported")
}

func accountToken(f *oci.Facts, p Payload, s *corev1.ServiceAccountTokenProjection, mode uint32, token TokenFunc) error {
	if token == nil {
		return fmt.Errorf("service account tokens are not issued by this node")
	}
	seconds := int64(3600)
	if s.ExpirationSeconds != nil {
		seconds = *s.ExpirationSeconds
	}
	data, err := token(s.Audience, seconds)
	if err != nil {
		return err
	}
	file := File{Data: data, Mode: mode, UID: fsUser(f.Pod)}
	if file.UID >= 0 || fsGroup(f.Pod) >= 0 {
		file.Mode = 0o600 // the owner's, and readable by the group where there is one
	}
	return add(p, s.Path, file)
}

// fsUser is who all containers of a Pod run as, -1 if they differ or one does not say.
func fsUser(pod *corev1.Pod) int64 {
	user := int64(-1)
	same := func(c *corev1.Container) bool {
		var wanted *int64
		if s := pod.Spec.SecurityContext; s != nil {
			wanted = s.RunAsUser
		}
		if s := c.SecurityContext; s != nil && s.RunAsUser != nil {
			wanted = s.RunAsUser
		}
		if wanted == nil || user >= 0 && user != *wanted {
			return false
		}
		user = *wanted
		return true
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if !same(&list[i]) {
				return -1
			}
		}
	}
	return user
}

func configMap(f *oci.Facts, p Payload, name string, items []corev1.KeyToPath, mode uint32, optional *bool) error {
	cm := f.ConfigMap(name)
	if cm == nil {
		if optional != nil && *optional {
			return nil
		}
		return fmt.Errorf("configmap %q not found", name)
	}
	data := make(map[string][]byte, len(cm.Data)+len(cm.BinaryData))
	for k, v := range cm.Data {
		data[k] = []byte(v)
	}
	maps.Copy(data, cm.BinaryData)
	return pick(p, data, items, mode, optional, "configmap")
}

func secret(f *oci.Facts, p Payload, name string, items []corev1.KeyToPath, mode uint32, optional *bool) error {
	s := f.Secret(name)
	if s == nil {
		if optional != nil && *optional {
			return nil
		}
		return fmt.Errorf("secret %q not found", name)
	}
	return pick(p, oci.SecretData(s), items, mode, optional, "secret")
}

// pick takes all keys, or the listed ones to their paths.
func pick(p Payload, data map[string][]byte, items []corev1.KeyToPath, mode uint32, optional *bool, kind string) error {
	if len(items) == 0 {
		for _, k := range slices.Sorted(maps.Keys(data)) {
			if err := add(p, k, File{Data: data[k], Mode: mode, UID: -1}); err != nil {
				return err
			}
		}
		return nil
	}
	for _, item := range items {
		content, ok := data[item.Key]
		if !ok {
			if optional != nil && *optional {
				continue
			}
			return fmt.Errorf("references non-existent %s key: %s", kind, item.Key)
		}
		file := File{Data: content, Mode: mode, UID: -1}
		if item.Mode != nil {
			file.Mode = uint32(*item.Mode)
		}
		if err := add(p, item.Path, file); err != nil {
			return err
		}
	}
	return nil
}

func downward(f *oci.Facts, p Payload, items []corev1.DownwardAPIVolumeFile, mode uint32) error {
	for i := range items {
		item := &items[i]
		var value string
		var err error
		switch {
		case item.FieldRef != nil:
			value, err = oci.FieldValue(f, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			value, err = oci.ResourceValue(f, nil, item.ResourceFieldRef)
		}
		if err != nil {
			return err
		}
		file := File{Data: []byte(value), Mode: mode, UID: -1}
		if item.Mode != nil {
			file.Mode = uint32(*item.Mode)
		}
		if err := add(p, item.Path, file); err != nil {
			return err
		}
	}
	return nil
}

// add refuses what would leave the volume or touch the writer's own names.
func add(p Payload, name string, file File) error {
	clean := path.Clean(name)
	if name == "" || path.IsAbs(name) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") || strings.HasPrefix(clean, "..") {
		return fmt.Errorf("path %q is not allowed in a volume: it must be relative and must not begin with \"..\"", name)
	}
	p[clean] = file
	return nil
}
