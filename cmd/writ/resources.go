package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	noderuntime "writ/runtime"
)

// resourceConfig is how this node bounds what its pods use.
type resourceConfig struct {
	swap     string
	period   time.Duration
	quota    bool
	pods     int
	pids     int64
	handlers []string
	plugins  string
}

func (c *resourceConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.swap, "memory-swap", noderuntime.NoSwap, "NoSwap, or LimitedSwap: burstable pods swap in proportion to the memory that they request")
	f.DurationVar(&c.period, "cpu-cfs-quota-period", 100*time.Millisecond, "period in which a container has its quota of CPU, 1ms to 1s")
	f.BoolVar(&c.quota, "cpu-cfs-quota", true, "enforce limits of CPU")
	f.IntVar(&c.pods, "max-pods", 110, "how many pods this node takes")
	f.Int64Var(&c.pids, "pod-max-pids", 4096, "how many processes a pod may have; -1 for no bound")
	f.StringArrayVar(&c.handlers, "runtime-handler", nil,
		"`NAME=PATH[,root=DIR]` of a program that speaks runc's command line, for RuntimeClasses with this handler; may be given again")
	f.StringVar(&c.plugins, "device-plugins", "", "folder of kubelet.sock, where device plugins register (default: device-plugins in the data folder)")
}

// fill makes the paths absolute.
func (c *resourceConfig) fill() error {
	if c.plugins == "" {
		return nil
	}
	abs, err := filepath.Abs(c.plugins)
	c.plugins = abs
	return err
}

func (c *resourceConfig) validate() error {
	resources, err := c.resources()
	if err != nil {
		return err
	}
	for _, h := range resources.Handlers {
		if !isProgram(h.Path) {
			return fmt.Errorf("--runtime-handler %s: %s is not a program", h.Name, h.Path)
		}
	}
	if c.pods < 1 {
		return fmt.Errorf("--max-pods %d: at least one", c.pods)
	}
	if c.pids == 0 {
		return errors.New("--pod-max-pids 0: a number of processes, or -1 for no bound")
	}
	return resources.Validate()
}

func (c *resourceConfig) resources() (noderuntime.ResourceConfig, error) {
	out := noderuntime.ResourceConfig{MemorySwap: c.swap, CFSPeriod: c.period, NoCPUQuota: !c.quota, DevicePlugins: c.plugins}
	for _, text := range c.handlers {
		var err error
		if out.Handlers, err = addHandlers(out.Handlers, text); err != nil {
			return out, err
		}
	}
	return out, nil
}

// addHandlers reads NAME=PATH[,root=DIR], and several of them from one list of the configuration file.
func addHandlers(list []noderuntime.RuntimeHandler, text string) ([]noderuntime.RuntimeHandler, error) {
	first := len(list)
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(part, "=")
		switch {
		case !ok, name == "root" && len(list) == first:
			return nil, fmt.Errorf("--runtime-handler %q: NAME=PATH[,root=DIR]", text)
		case name == "root":
			list[len(list)-1].Root = value
		default:
			list = append(list, noderuntime.RuntimeHandler{Name: name, Path: value})
		}
	}
	return list, nil
}
