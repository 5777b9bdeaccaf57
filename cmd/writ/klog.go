package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"k8s.io/klog/v2"
)

// upstreamLog makes what upstream's API server writes part of the daemon's log. It tells of clients that go away and of requests
// that fail, as errors; whoever asked was told, and only a panic is the daemon's own affair.
func upstreamLog(log *slog.Logger) {
	log = log.With("component", "api")
	var last atomic.Pointer[string]
	klog.SetSlogLogger(slog.New(quieter{log.Handler(), &last}))
	klog.OsExit = func(code int) {
		if said := last.Load(); said != nil {
			log.Error("the API ends the daemon", "why", *said)
		}
		os.Exit(code)
	}
}

// quieter takes everything but panics for detail.
type quieter struct {
	slog.Handler
	last *atomic.Pointer[string] // error that was told
}

func (q quieter) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug) || level >= slog.LevelError
}

func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		q.last.Store(&r.Message)
	}
	if !strings.Contains(r.Message, "panic") {
		r.Level = slog.LevelDebug
	}
	if !q.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quieter{q.Handler.WithAttrs(attrs), q.last}
}

func (q quieter) WithGroup(name string) slog.Handler {
	return quieter{q.Handler.WithGroup(name), q.last}
}
