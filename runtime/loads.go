package runtime

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"writ/runtime/usage"
)

// ContainerLoad is what one running container uses. ID tells its attempts apart.
type ContainerLoad struct {
	ID, Name string
	usage.Load
}

// Loads measures the running containers of a Pod of this node, by name. One that ends meanwhile is left out.
func (r *Runtime) Loads(uid types.UID) ([]ContainerLoad, error) {
	r.mu.Lock()
	w := r.workers[uid]
	r.mu.Unlock()
	if w == nil {
		return nil, fmt.Errorf("pod %s on this node: %w", uid, ErrNotFound)
	}
	s := w.shown.Load()
	if s == nil {
		return nil, nil // an earlier daemon started it, and it was not looked at yet
	}
	var all []ContainerLoad
	for _, name := range slices.Sorted(maps.Keys(s.Containers)) {
		c := s.Containers[name]
		if !c.Running {
			continue
		}
		if load, err := usage.LoadOf(r.cfg.cgroup(uid) + "/" + c.ID); err == nil {
			all = append(all, ContainerLoad{ID: c.ID, Name: name, Load: load})
		}
	}
	return all, nil
}
