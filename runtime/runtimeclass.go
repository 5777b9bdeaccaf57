package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"

	"writ/disk"
	"writ/runtime/oci"
	"writ/runtime/shim"
)

// chooseRuntime finds out which program runs the Pod's containers. That is decided when its sandbox is made and kept
// beside it: a class that is deleted or another one by then changes no Pod.
func (w *worker) chooseRuntime() error {
	name, err := os.ReadFile(w.paths.handler())
	if err == nil {
		w.handler = string(name)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	class := w.desired.Pod.Spec.RuntimeClassName
	if class == nil || *class == "" || exists(w.paths.run) {
		return nil
	}
	rec := w.r.view().RuntimeClass(*class)
	if rec == nil {
		return fmt.Errorf("runtimeclass.node.k8s.io %q not found", *class)
	}
	rc, ok := rec.Object.(*nodev1.RuntimeClass)
	if !ok || rc.Handler == builtinHandler {
		return nil
	}
	if _, err := w.r.cfg.Resources.runtime(rc.Handler); err != nil {
		return err
	}
	if !oci.HostUsers(w.desired.Pod) {
		return fmt.Errorf("can't set `spec.hostUsers: false`, RuntimeClass handler %q does not support user namespaces", rc.Handler)
	}
	if err := os.MkdirAll(w.paths.data, 0o700); err != nil {
		return err
	}
	w.handler = rc.Handler
	return disk.Replace(w.paths.handler(), []byte(rc.Handler))
}

// runtime is the program of the Pod's containers, nil for the one that is built in.
func (w *worker) runtime() (*shim.Runtime, error) {
	if w.handler == "" {
		return nil, nil
	}
	return w.r.cfg.Resources.runtime(w.handler)
}

func (p podPaths) handler() string { return filepath.Join(p.data, "handler") }

// runtime finds a program by its name, in containerd's words where there is none.
func (c *ResourceConfig) runtime(name string) (*shim.Runtime, error) {
	i := slices.IndexFunc(c.Handlers, func(h RuntimeHandler) bool { return h.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("failed to get sandbox runtime: no runtime for %q is configured", name)
	}
	h := c.Handlers[i]
	return &shim.Runtime{Name: h.Name, Path: h.Path, Root: h.Root}, nil
}

// runtimeHandlers are those of the node's status: that of Pods without a class, which also has a name, and the others.
func (c *ResourceConfig) runtimeHandlers() []corev1.NodeRuntimeHandler {
	yes := true
	own := &corev1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: &yes, UserNamespaces: &yes}
	list := []corev1.NodeRuntimeHandler{{Features: own}, {Name: builtinHandler, Features: own}}
	for _, h := range c.Handlers {
		list = append(list, corev1.NodeRuntimeHandler{Name: h.Name, Features: &corev1.NodeRuntimeHandlerFeatures{}})
	}
	slices.SortFunc(list, func(a, b corev1.NodeRuntimeHandler) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
