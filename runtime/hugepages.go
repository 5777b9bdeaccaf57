package runtime

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

const hugePagesDir = "/sys/kernel/mm/hugepages"

// hugePages is how much memory the node keeps as pages of each size, as hugepages-2Mi. dir lists the sizes.
func hugePages(dir fs.FS) (corev1.ResourceList, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("list huge pages: %w", err)
	}
	out := corev1.ResourceList{}
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), "hugepages-")
		kib, bad := strconv.ParseInt(strings.TrimSuffix(text, "kB"), 10, 64)
		if !ok || bad != nil {
			continue
		}
		data, err := fs.ReadFile(dir, path.Join(e.Name(), "nr_hugepages"))
		if err != nil {
			return nil, fmt.Errorf("count huge pages: %w", err)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("count huge pages: %w", err)
		}
		size := resource.NewQuantity(kib<<10, resource.BinarySI)
		out[corev1.ResourceName(corev1.ResourceHugePagesPrefix+size.String())] = *resource.NewQuantity(n*kib<<10, resource.BinarySI)
	}
	return out, nil
}

// capacity is what the node has: what was measured, its huge pages and the devices that plugins know.
func (r *Runtime) capacity(m measured) corev1.ResourceList {
	list := m.capacity(r.cfg.MaxPods)
	pages, err := hugePages(os.DirFS(hugePagesDir))
	if err != nil {
		r.warnOnce(err.Error())
	}
	for name, q := range pages {
		list[name] = q
	}
	r.countDevices(list, false)
	return list
}

// allocatableOf is what of a capacity Pods may ask for: neither what is kept back, nor as memory what is huge pages.
func (r *Runtime) allocatableOf(capacity corev1.ResourceList) corev1.ResourceList {
	out := allocatable(capacity, r.cfg.Reserved, &r.eviction)
	memory := out[corev1.ResourceMemory]
	for name, q := range capacity {
		if corev1helper.IsHugePageResourceName(name) {
			memory.Sub(q)
		}
	}
	if memory.Sign() < 0 {
		memory = *resource.NewQuantity(0, resource.BinarySI)
	}
	out[corev1.ResourceMemory] = memory
	r.countDevices(out, true)
	return out
}
