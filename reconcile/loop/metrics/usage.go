package metrics

import (
	"context"
	"maps"
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/state"
)

// usage is what the Pods concerned use, each measured once in a round.
type usage struct {
	pods  map[types.UID][]rated
	first map[types.UID]bool // read for the first time
}

// rated is one container's use: its CPU as a rate, which needs a reading of an earlier round.
type rated struct {
	Use
	known  bool
	cpu    int64 // thousandths of a core
	window time.Duration
}

// shortest is the time that a rate is taken over at least: readings closer together tell little.
const shortest = 100 * time.Millisecond

// usage reads the Pods of those that ask for resources.
func (c *Collector) usage(ctx context.Context, w *state.World, all []*state.Record) *usage {
	u := &usage{pods: map[types.UID][]rated{}, first: map[types.UID]bool{}}
	read := map[string]Use{}
	for _, r := range all {
		hpa := r.Object.(*autoscalingv2.HorizontalPodAutoscaler)
		if !resources(hpa) {
			continue
		}
		for _, p := range podsOf(w, hpa) {
			if _, done := u.pods[p.UID]; done || p.Node == "" {
				continue
			}
			list, err := c.cfg.Usage(ctx, p)
			if err != nil {
				c.log.Debug("pod is not measured", "pod", p.Ref.String(), "err", err)
			}
			u.pods[p.UID] = c.rate(p.UID, list, u.first)
			for _, one := range list {
				read[one.ID] = one
			}
		}
	}
	c.before = maps.Clone(read)
	return u
}

func resources(hpa *autoscalingv2.HorizontalPodAutoscaler) bool {
	for i := range hpa.Spec.Metrics {
		if m := &hpa.Spec.Metrics[i]; m.Resource != nil || m.ContainerResource != nil {
			return true
		}
	}
	return false
}

func (c *Collector) rate(uid types.UID, list []Use, first map[types.UID]bool) []rated {
	out := make([]rated, 0, len(list))
	for _, now := range list {
		one := rated{Use: now}
		before, ok := c.before[now.ID]
		if !ok {
			first[uid] = true
		}
		if window := now.At.Sub(before.At); ok && window >= shortest && now.CPU >= before.CPU {
			one.known, one.window = true, window
			one.cpu = int64(math.Round(float64(now.CPU-before.CPU) / float64(window) * 1000))
		}
		out = append(out, one)
	}
	return out
}

// begins says that a Pod was read for the first time.
func (u *usage) begins(pods []*state.Record) bool {
	for _, p := range pods {
		if u.first[p.UID] {
			return true
		}
	}
	return false
}

// samples are those of a resource of Pods or of one container of each. Of a Pod of which a container cannot be told
// there is none, as in Kubernetes' metrics server.
func (u *usage) samples(pods []*state.Record, name corev1.ResourceName, container string) (out []state.Sample) {
	if name != corev1.ResourceCPU && name != corev1.ResourceMemory {
		return nil
	}
	for _, p := range pods {
		s := state.Sample{Pod: p.Ref.Name}
		found, whole := false, true
		for _, c := range u.pods[p.UID] {
			if container != "" && c.Name != container {
				continue
			}
			found, whole = true, whole && (c.known || name == corev1.ResourceMemory)
			if name == corev1.ResourceCPU {
				s.Value += c.cpu
			} else {
				s.Value += c.Memory * 1000
			}
			s.At, s.Window = c.At.UTC().Round(0), max(s.Window, c.window)
		}
		if found && whole {
			out = append(out, s)
		}
	}
	return out
}
