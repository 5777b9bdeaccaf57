package resourcemetrics

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"writ/state"
)

// Use is what a container, or a node, has used: CPU in all since it was started, memory as a working set in bytes now.
// ID tells attempts of a container apart.
type Use struct {
	ID, Name string
	CPU      time.Duration
	Memory   int64
	At       time.Time
}

// Measure looks at this node.
type Measure interface {
	// Pod measures the running containers of a Pod of this node.
	Pod(ctx context.Context, pod *state.Record) ([]Use, error)
	// Node measures the node itself.
	Node(ctx context.Context) (Use, error)
}

// Windows of a rate of CPU: who asks within the shortest gets what was measured last; a look that is older than the
// longest is of no use; the first look is taken again after a moment.
const (
	shortest = 5 * time.Second
	longest  = 2 * time.Minute
	moment   = 500 * time.Millisecond
)

// rate is what is used between two looks.
type rate struct {
	name   string
	cores  float64
	memory int64
	at     time.Time
	window time.Duration
}

// sampler remembers the last looks.
type sampler struct {
	mu   sync.Mutex
	last map[string]sample // by what is measured
}

type sample struct {
	use  Use
	rate rate // zero before the second look
}

func newSampler() *sampler { return &sampler{last: map[string]sample{}} }

// rates gives the rates of what was measured under a key; false if it has to be measured again in a moment.
func (s *sampler) rates(key string, uses []Use) (all []rate, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	for _, u := range uses {
		id := key + "/" + u.ID
		before, known := s.last[id]
		since := u.At.Sub(before.use.At)
		switch {
		case known && since < shortest && before.rate.window > 0:
			all = append(all, before.rate)
			continue
		case !known || since <= 0 || since > longest || u.CPU < before.use.CPU:
			s.last[id] = sample{use: u}
			continue
		case since < moment/2:
			continue
		}
		r := rate{u.Name, float64(u.CPU-before.use.CPU) / float64(since), u.Memory, u.At, since}
		s.last[id] = sample{u, r}
		all = append(all, r)
	}
	return all, len(all) == len(uses)
}

// forget lets go what nobody has asked about for long.
func (s *sampler) forget() {
	const most = 1024
	if len(s.last) < most {
		return
	}
	for id, of := range s.last {
		if time.Since(of.use.At) > longest {
			delete(s.last, id)
		}
	}
}

// measured are the rates of several things; those that were not looked at before are looked at twice.
func (s *sampler) measured(ctx context.Context, keys []types.UID, look func(types.UID) []Use) map[types.UID][]rate {
	found := map[types.UID][]rate{}
	again := keys
	for range 2 {
		var missing []types.UID
		for _, key := range again {
			if all, ok := s.rates(string(key), look(key)); ok {
				found[key] = all
			} else {
				missing = append(missing, key)
			}
		}
		if again = missing; len(again) == 0 {
			break
		}
		select {
		case <-time.After(moment):
		case <-ctx.Done():
			return found
		}
	}
	return found
}
