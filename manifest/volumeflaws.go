package manifest

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// subPaths adds parts of volumes that a container names by its variables and that are not in the volume,
// as far as the values stand in the manifest. A pod with one fails with CreateContainerConfigError.
func (n *needs) subPaths(at string, c *corev1.Container) {
	var env map[string]string
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		if m.SubPathExpr == "" {
			continue
		}
		if env == nil {
			env = literalEnv(c)
		}
		sub, known := expandKnown(m.SubPathExpr, env)
		field := index(at+".volumeMounts", i) + ".subPathExpr"
		switch {
		case !known:
		case path.IsAbs(sub):
			n.flaw(field, fmt.Sprintf("%q is %q with the container's variables: it must be a relative path", m.SubPathExpr, sub))
		case strings.Contains("/"+sub+"/", "/../"):
			n.flaw(field, fmt.Sprintf("%q is %q with the container's variables: it must not contain '..'", m.SubPathExpr, sub))
		}
	}
}

// literalEnv are the variables whose values stand in the manifest.
func literalEnv(c *corev1.Container) map[string]string {
	env := map[string]string{}
	for i := range c.Env {
		e := &c.Env[i]
		value, known := expandKnown(e.Value, env)
		if e.ValueFrom != nil || !known {
			delete(env, e.Name)
			continue
		}
		env[e.Name] = value
	}
	return env
}

// expandKnown replaces $(VAR) as the node will; known is false where it uses a variable that is
// not in env.
func expandKnown(text string, env map[string]string) (out string, known bool) {
	known = true
	out = expansion.Expand(text, func(name string) string {
		value, ok := env[name]
		known = known && ok
		return value
	})
	return out, known
}
