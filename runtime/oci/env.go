package oci

import (
	"errors"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/envvars"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// defaultPath is what a container has when neither its image nor its author sets PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Env is the environment of a container without its image's: service variables,
// then envFrom, then env, later ones winning, with $(VAR) expanded as upstream
// does. The error matches ErrConfig.
func Env(f *Facts, c *corev1.Container) (map[string]string, error) {
	services := serviceEnv(f)
	own := map[string]string{}
	for i := range c.EnvFrom {
		if err := envFrom(f, &c.EnvFrom[i], own); err != nil {
			return nil, err
		}
	}
	mapping := expansion.MappingFuncFor(own, services)
	for i := range c.Env {
		e := &c.Env[i]
		value := e.Value
		if value != "" {
			value = expansion.Expand(value, mapping)
		} else if e.ValueFrom != nil {
			found := false
			var err error
			if value, found, err = envValue(f, c, e.ValueFrom); err != nil {
				return nil, err
			} else if !found {
				continue
			}
		}
		own[e.Name] = value
	}
	for k, v := range services {
		if _, ok := own[k]; !ok {
			own[k] = v
		}
	}
	return own, nil
}

// serviceEnv is upstream's service links: those of the namespace where the Pod
// wants them, and always default/kubernetes.
func serviceEnv(f *Facts) map[string]string {
	links := f.Pod.Spec.EnableServiceLinks == nil || *f.Pod.Spec.EnableServiceLinks
	chosen := map[string]*corev1.Service{}
	for _, s := range f.Services {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
			continue
		}
		switch {
		case s.Namespace == f.Pod.Namespace && links:
			chosen[s.Name] = s
		case s.Namespace == corev1.NamespaceDefault && s.Name == "kubernetes" && chosen[s.Name] == nil:
			chosen[s.Name] = s
		}
	}
	ordered := make([]*corev1.Service, 0, len(chosen))
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		ordered = append(ordered, chosen[name])
	}
	env := map[string]string{}
	for _, v := range envvars.FromServices(ordered) {
		env[v.Name] = v.Value
	}
	return env
}

func envFrom(f *Facts, e *corev1.EnvFromSource, into map[string]string) error {
	switch {
	case e.ConfigMapRef != nil:
		cm := f.ConfigMap(e.ConfigMapRef.Name)
		if cm == nil {
			if optional(e.ConfigMapRef.Optional) {
				return nil
			}
			return configErrorf("configmap %q not found", e.ConfigMapRef.Name)
		}
		for k, v := range cm.Data {
			into[e.Prefix+k] = v
		}
	case e.SecretRef != nil:
		s := f.Secret(e.SecretRef.Name)
		if s == nil {
			if optional(e.SecretRef.Optional) {
				return nil
			}
			return configErrorf("secret %q not found", e.SecretRef.Name)
		}
		for k, v := range SecretData(s) {
			into[e.Prefix+k] = string(v)
		}
	}
	return nil
}

// envValue resolves a valueFrom; found is false for an absent optional key.
func envValue(f *Facts, c *corev1.Container, from *corev1.EnvVarSource) (value string, found bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = FieldValue(f, from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		value, err = ResourceValue(f, c, from.ResourceFieldRef)
	case from.ConfigMapKeyRef != nil:
		return configMapKey(f, from.ConfigMapKeyRef)
	case from.SecretKeyRef != nil:
		return secretKey(f, from.SecretKeyRef)
	case from.FileKeyRef != nil:
		return fileKey(f, from.FileKeyRef)
	default:
		err = configErrorf("environment variable source is not supported")
	}
	return value, err == nil, err
}

func configMapKey(f *Facts, ref *corev1.ConfigMapKeySelector) (string, bool, error) {
	cm := f.ConfigMap(ref.Name)
	if cm == nil {
		if optional(ref.Optional) {
			return "", false, nil
		}
		return "", false, configErrorf("configmap %q not found", ref.Name)
	}
	value, ok := cm.Data[ref.Key]
	if !ok && !optional(ref.Optional) {
		return "", false, configErrorf("couldn't find key %v in ConfigMap %v/%v", ref.Key, f.Pod.Namespace, ref.Name)
	}
	return value, ok, nil
}

func secretKey(f *Facts, ref *corev1.SecretKeySelector) (string, bool, error) {
	s := f.Secret(ref.Name)
	if s == nil {
		if optional(ref.Optional) {
			return "", false, nil
		}
		return "", false, configErrorf("secret %q not found", ref.Name)
	}
	value, ok := SecretData(s)[ref.Key]
	if !ok && !optional(ref.Optional) {
		return "", false, configErrorf("couldn't find key %v in Secret %v/%v", ref.Key, f.Pod.Namespace, ref.Name)
	}
	return string(value), ok, nil
}

// fileKey reads a variable from a file that another container of the Pod wrote.
func fileKey(f *Facts, ref *corev1.FileKeySelector) (string, bool, error) {
	if f.EnvFile == nil {
		return "", false, configErrorf("cannot find the volume %q referenced by FileKeyRef", ref.VolumeName)
	}
	value, err := f.EnvFile(ref.VolumeName, ref.Path, ref.Key)
	switch {
	case errors.Is(err, ErrConfig):
		return "", false, err
	case err != nil:
		return "", false, configErrorf("couldn't parse env file")
	case value == "" && !optional(ref.Optional):
		return "", false, configErrorf("environment variable key %q not found in file %q", ref.Key, ref.Path)
	}
	return value, value != "", nil
}

// Args is what a container runs: the image's entry point and command, replaced
// by the Pod's, with $(VAR) expanded. The error matches ErrConfig.
func Args(c *corev1.Container, entrypoint, cmd []string, env map[string]string) ([]string, error) {
	mapping := expansion.MappingFuncFor(env)
	command, args := c.Command, c.Args
	if len(command) == 0 {
		command = entrypoint
		if len(args) == 0 {
			args = cmd
			mapping = nil
		}
		out := append([]string(nil), command...)
		return nonEmpty(append(out, expand(args, mapping)...))
	}
	return nonEmpty(append(expand(command, mapping), expand(args, mapping)...))
}

func nonEmpty(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, configErrorf("no command specified")
	}
	return args, nil
}

func expand(args []string, mapping func(string) string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if mapping != nil {
			a = expansion.Expand(a, mapping)
		}
		out[i] = a
	}
	return out
}

// environ puts the Pod's variables over the image's, sorted, with PATH and
// HOSTNAME where nobody set them.
func environ(image []string, pod map[string]string, hostname string, tty bool) []string {
	all := map[string]string{"PATH": defaultPath, "HOSTNAME": hostname}
	if tty {
		all["TERM"] = "xterm"
	}
	for _, e := range image {
		k, v, _ := strings.Cut(e, "=")
		all[k] = v
	}
	maps.Copy(all, pod)
	out := make([]string, 0, len(all))
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, k+"="+all[k])
	}
	return out
}
