package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"

	"writ/reconcile"
	noderuntime "writ/runtime"
	"writ/runtime/pressure"
)

// evictionConfig is when the node is short of something and what it does then, and how much of a log it
// keeps: the kubelet's flags.
type evictionConfig struct {
	hard, soft, grace, reclaim []string
	transition                 time.Duration
	maxPodGrace                int64
	logSize                    string
	logFiles                   int
	endedPods                  int
}

func (c *evictionConfig) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.hard, "eviction-hard", nil, "thresholds (memory.available<1Gi, nodefs.available<10%) below which a pod is evicted at once; "+
		"given, they replace the default: memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%")
	f.StringSliceVar(&c.soft, "eviction-soft", nil, "thresholds below which a pod is evicted after --eviction-soft-grace-period")
	f.StringSliceVar(&c.grace, "eviction-soft-grace-period", nil, "how long a soft threshold is to be met, by signal (memory.available=1m30s)")
	f.StringSliceVar(&c.reclaim, "eviction-minimum-reclaim", nil, "how much more than a threshold has to be there again, by signal (imagefs.available=2Gi)")
	f.DurationVar(&c.transition, "eviction-pressure-transition-period", pressure.DefaultTransition, "how long a pressure condition of the node stays after its shortage")
	f.Int64Var(&c.maxPodGrace, "eviction-max-pod-grace-period", 0, "most seconds that a pod has to end after a soft threshold; negative for its own grace period")
	f.StringVar(&c.logSize, "container-log-max-size", "10Mi", "size at which the log of a container is rotated")
	f.IntVar(&c.endedPods, "terminated-pod-gc-threshold", reconcile.DefaultEndedPods, "how many pods that have ended are kept, evicted ones and then the oldest go first; 0 or less for all")
	f.IntVar(&c.logFiles, "container-log-max-files", 5, "files kept of the log of a container, at least 2")
}

// pairs reads what stands before and behind a sign.
func pairs(flag, sign string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range list {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		name, value, ok := strings.Cut(text, sign)
		if !ok {
			return nil, fmt.Errorf("--%s %q: it has no %q", flag, text, sign)
		}
		out[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return out, nil
}

func (c *evictionConfig) settings() (pressure.Settings, error) {
	s := pressure.Settings{Transition: c.transition, MaxPodGrace: c.maxPodGrace}
	var errs []error
	for _, one := range []struct {
		into       *map[string]string
		flag, sign string
		list       []string
	}{
		{&s.Hard, "eviction-hard", "<", c.hard}, {&s.Soft, "eviction-soft", "<", c.soft},
		{&s.SoftGrace, "eviction-soft-grace-period", "=", c.grace}, {&s.MinReclaim, "eviction-minimum-reclaim", "=", c.reclaim},
	} {
		if one.list == nil {
			continue
		}
		var err error
		*one.into, err = pairs(one.flag, one.sign, one.list)
		errs = append(errs, err)
	}
	if c.transition == 0 {
		s.Transition = time.Nanosecond // as asked: no longer than the shortage
	}
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	if _, err := s.Parse(); err != nil {
		return s, fmt.Errorf("--eviction-*: %w", err)
	}
	return s, nil
}

func (c *evictionConfig) validate() error {
	var errs []error
	if q, err := resource.ParseQuantity(c.logSize); err != nil || q.Value() <= 0 {
		errs = append(errs, fmt.Errorf("--container-log-max-size %q is not a size such as 10Mi", c.logSize))
	}
	if c.logFiles < 2 {
		errs = append(errs, fmt.Errorf("--container-log-max-files %d: at least 2", c.logFiles))
	}
	_, err := c.settings()
	return errors.Join(append(errs, err)...)
}

// apply sets what validate has looked at.
func (c *evictionConfig) apply(cfg *noderuntime.Config) {
	cfg.Eviction, _ = c.settings()
	size := resource.MustParse(c.logSize)
	cfg.LogMaxSize, cfg.LogMaxFiles = size.Value(), c.logFiles
}

// ended is how many Pods that have ended are kept. What bounds nothing for Kubernetes' controller, 0 or less,
// is negative here.
func (c *evictionConfig) ended() int {
	if c.endedPods <= 0 {
		return -1
	}
	return c.endedPods
}
