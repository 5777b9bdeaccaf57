package runtime

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"
)

// ResourceConfig is how a node bounds what its Pods use. The zero value is kubelet's default.
type ResourceConfig struct {
	// MemorySwap is NoSwap (or nothing: Pods do not swap) or LimitedSwap (Burstable Pods swap as much as
	// they ask of the node's memory).
	MemorySwap string
	// CFSPeriod is the period in which a container has its quota of CPU, 100 ms by default.
	CFSPeriod time.Duration
	// NoCPUQuota lets limits of CPU go unenforced; requests still weigh.
	NoCPUQuota bool
	// Handlers are the programs by which RuntimeClasses run their Pods, beside the built-in one.
	Handlers []RuntimeHandler
	// DevicePlugins is the folder in which plugins look for kubelet.sock. Empty: <DataDir>/device-plugins.
	DevicePlugins string
}

// RuntimeHandler is a program that speaks runc's command line.
type RuntimeHandler struct {
	Name string // as a RuntimeClass says it
	Path string // absolute
	Root string // where it keeps its state, absolute; empty is below the Pod's run directory
}

// The values of ResourceConfig.MemorySwap.
const (
	NoSwap      = "NoSwap"
	LimitedSwap = "LimitedSwap"
)

const (
	leastPeriod = time.Millisecond // the kernel's bounds
	mostPeriod  = time.Second
	// builtinHandler is what runs a Pod of no class.
	builtinHandler = "runc"
)

var handlerName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Validate says everything that is wrong.
func (c *ResourceConfig) Validate() error {
	var errs []error
	if c.MemorySwap != "" && c.MemorySwap != NoSwap && c.MemorySwap != LimitedSwap {
		errs = append(errs, fmt.Errorf("memory swap %q: %s or %s", c.MemorySwap, NoSwap, LimitedSwap))
	}
	if c.CFSPeriod != 0 && (c.CFSPeriod < leastPeriod || c.CFSPeriod > mostPeriod) {
		errs = append(errs, fmt.Errorf("period of the CPU quota %s: from %s to %s", c.CFSPeriod, leastPeriod, mostPeriod))
	}
	if c.DevicePlugins != "" && !filepath.IsAbs(c.DevicePlugins) {
		errs = append(errs, fmt.Errorf("folder of device plugins %q: it must be absolute", c.DevicePlugins))
	}
	seen := map[string]bool{builtinHandler: true}
	for _, h := range c.Handlers {
		switch {
		case !handlerName.MatchString(h.Name):
			errs = append(errs, fmt.Errorf("runtime handler %q is not a name: lower case letters, digits and '-'", h.Name))
		case seen[h.Name]:
			errs = append(errs, fmt.Errorf("runtime handler %q is there already", h.Name))
		case !filepath.IsAbs(h.Path):
			errs = append(errs, fmt.Errorf("runtime handler %s: path %q must be absolute", h.Name, h.Path))
		case h.Root != "" && !filepath.IsAbs(h.Root):
			errs = append(errs, fmt.Errorf("runtime handler %s: root %q must be absolute", h.Name, h.Root))
		}
		seen[h.Name] = true
	}
	return errors.Join(errs...)
}
