package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/reconcile/autoscaler"
	"writ/state"
)

// Store is where measurements become true.
type Store interface {
	World() *state.World
	// Changed is closed once the World is past a revision.
	Changed(rev state.Revision) <-chan struct{}
	Propose(ctx context.Context, b state.Batch) (state.Revision, error)
}

// Use is what one running container has used: CPU in all since it was started, memory as a working set in bytes now.
// ID tells its attempts apart.
type Use struct {
	ID, Name string
	CPU      time.Duration
	Memory   int64
	At       time.Time
}

// Config is what a Collector needs beside its Store.
type Config struct {
	// Every is the time between two rounds, 15 seconds by default, at most a minute.
	Every time.Duration
	// Usage measures the running containers of a Pod of this node.
	Usage func(ctx context.Context, pod *state.Record) ([]Use, error)
	// Transport carries the questions to Prometheus; nil for one that finds Services of the cluster by name.
	Transport http.RoundTripper
}

// DefaultEvery is upstream's --horizontal-pod-autoscaler-sync-period.
const DefaultEvery = 15 * time.Second

// Validate says what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Every < 0 || c.Every > time.Minute:
		return fmt.Errorf("time between two measurements: %s is not between 1ms and 1m", c.Every)
	case c.Usage == nil:
		return errors.New("nothing measures pods")
	}
	return nil
}

// Collector measures in rounds.
type Collector struct {
	cfg    Config
	store  Store
	log    *slog.Logger
	client *http.Client
	before map[string]Use // readings of the last round, by container

	mu    sync.Mutex // held for known
	known *server    // that the Secret of the settings was made into last
}

// New makes a Collector.
func New(c Config, store Store, log *slog.Logger) (*Collector, error) {
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Transport == nil {
		c.Transport = transport(store)
	}
	return &Collector{
		cfg: c, store: store, log: log.With("component", "metrics"), before: map[string]Use{},
		client: &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Run measures until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	for {
		w := c.store.World()
		if len(autoscalers(w)) == 0 {
			clear(c.before)
			select {
			case <-c.store.Changed(w.Revision()):
				continue
			case <-ctx.Done():
				return nil
			}
		}
		begun := time.Now()
		if err := c.round(ctx, w); err != nil && ctx.Err() == nil {
			c.log.Warn("measurements are lost", "err", err)
		}
		select {
		case <-time.After(c.cfg.Every - min(c.cfg.Every, time.Since(begun))):
		case <-ctx.Done():
			return nil
		}
	}
}

func autoscalers(w *state.World) (all []*state.Record) {
	for r := range w.List("autoscaling", "HorizontalPodAutoscaler", "") {
		if r.Deletion == nil {
			all = append(all, r)
		}
	}
	return all
}

const (
	askers  = 8               // how many questions are asked at once
	longest = 5 * time.Second // that all questions of a round may take
)

// round measures for every autoscaler and states it all at once.
func (c *Collector) round(ctx context.Context, w *state.World) error {
	all := autoscalers(w)
	used := c.usage(ctx, w, all)
	ctx, cancel := context.WithTimeout(ctx, max(min(c.cfg.Every, longest), time.Second))
	defer cancel()
	puts := make([]*state.Put, len(all))
	limit := make(chan struct{}, askers)
	var wait sync.WaitGroup
	for i, r := range all {
		limit <- struct{}{}
		wait.Go(func() {
			defer func() { <-limit }()
			puts[i] = c.measure(ctx, w, r, used)
		})
	}
	wait.Wait()
	b := state.Batch{Writer: state.WriterMetrics, Base: w.Revision(), Now: time.Now()}
	for _, p := range puts {
		if p != nil {
			b.Puts = append(b.Puts, *p)
		}
	}
	if len(b.Puts) == 0 {
		return nil
	}
	// The questions may have used the time up; what they gave is stated all the same.
	_, err := c.store.Propose(context.WithoutCancel(ctx), b)
	return err
}

// measure is a round of one autoscaler. Nil: a rate needs a second reading, which the next round brings.
func (c *Collector) measure(ctx context.Context, w *state.World, r *state.Record, used *usage) *state.Put {
	hpa := r.Object.(*autoscalingv2.HorizontalPodAutoscaler)
	pods := podsOf(w, hpa)
	m := &state.Metrics{}
	for i := range hpa.Spec.Metrics {
		spec := &hpa.Spec.Metrics[i]
		got := state.Measured{Metric: autoscaler.MetricKey(spec)}
		switch {
		case spec.Resource != nil:
			got.Samples = used.samples(pods, spec.Resource.Name, "")
		case spec.ContainerResource != nil:
			got.Samples = used.samples(pods, spec.ContainerResource.Name, spec.ContainerResource.Container)
		default:
			var err error
			if got.Samples, err = c.ask(ctx, w, hpa, spec, pods); err != nil {
				got.Trouble = err.Error()
			}
		}
		if r.Metrics == nil && len(got.Samples) == 0 && got.Trouble == "" && used.begins(pods) {
			return nil
		}
		m.Results = append(m.Results, got)
	}
	m.At = time.Now().UTC().Round(0)
	return &state.Put{Ref: r.Ref, UID: r.UID, Metrics: m, Why: "measured"}
}

// podsOf are the Pods that an autoscaler's target selects.
func podsOf(w *state.World, hpa *autoscalingv2.HorizontalPodAutoscaler) (pods []*state.Record) {
	target := w.Get(manifest.ScaleTarget(hpa))
	if target == nil {
		return nil
	}
	for p := range w.Select("", "Pod", hpa.Namespace, manifest.Selector(target.Object)) {
		if phase := p.PodStatus().Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
			pods = append(pods, p)
		}
	}
	return pods
}
