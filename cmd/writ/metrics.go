package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"writ/api/control"
)

// serveMetrics answers /metrics and /healthz on loopback until ctx ends.
func (n *node) serveMetrics(ctx context.Context) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registry.MustRegister(n.gauges()...)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", n.healthz)
	if n.cfg.profile {
		mux.HandleFunc("GET /debug/pprof/profile", sample)
		mux.HandleFunc("GET /debug/pprof/heap", heap)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", n.cfg.metrics)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// gauges are read when somebody asks.
func (n *node) gauges() []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "writ", Name: name, Help: help}, value)
	}
	counter := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "writ", Name: name, Help: help}, value)
	}
	d := n.dns.Stats()
	return []prometheus.Collector{
		gauge("objects", "Objects of the cluster.", func() float64 { return float64(n.store.World().Len()) }),
		gauge("adopted_timestamp_seconds", "When the adopted commit was adopted.", func() float64 {
			if at := n.store.World().Adopted().Adopted; !at.IsZero() {
				return float64(at.Unix())
			}
			return 0
		}),
		gauge("held", "1 while the newest commit is not adopted because of a mistake or a guard.", func() float64 {
			if n.Facts().Held != "" {
				return 1
			}
			return 0
		}),
		gauge("suspended", "1 while spec.suspend keeps every commit from being adopted.", func() float64 {
			if n.loop.Report().Suspend != nil {
				return 1
			}
			return 0
		}),
		gauge("troubles", "What does not work now and is tried again.", func() float64 { return float64(len(n.troubles())) }),
		gauge("unhealthy_objects", "Objects of the adopted commit that are not healthy.", func() float64 {
			s := control.Report(n.store.World(), n.Facts(), time.Now())
			return float64(len(s.Objects) - s.Counts.Fine())
		}),
		counter("dns_queries_total", "Questions asked.", func() float64 { return float64(d.Queries.Load()) }),
		counter("dns_forwarded_total", "Questions passed on to the node's resolvers.", func() float64 { return float64(d.Forwarded.Load()) }),
		counter("dns_refused_total", "Questions refused.", func() float64 { return float64(d.Refused.Load()) }),
		counter("dns_failed_total", "Questions passed on and not answered.", func() float64 { return float64(d.Failed.Load()) }),
	}
}

// healthz is 200 while the daemon does its work, with what is in its way as text.
func (n *node) healthz(w http.ResponseWriter, _ *http.Request) {
	for _, t := range n.troubles() {
		if t.Component == "sync" { // the cluster runs on without its repository
			continue
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "%s: %s\n", t.Component, t.What)
		return
	}
	fmt.Fprintln(w, "ok")
}
