package main

import (
	"context"
	"log/slog"
	"strings"

	"k8s.io/klog/v2"
)

// upstreamLog makes what upstream's API server writes part of the daemon's log. It tells of clients that go away and of requests
// that fail, as errors; whoever asked was told, and only a panic is the daemon's own affair.
func upstreamLog(log *slog.Logger) {
	klog.SetSlogLogger(slog.New(quieter{log.With("component", "api").Handler()}))
}

// quieter takes everything but panics for detail.
type quieter struct{ slog.Handler }

func (q quieter) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug) || level >= slog.LevelError
}

func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	if !strings.Contains(r.Message, "panic") {
		r.Level = slog.LevelDebug
	}
	if !q.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quieter{q.Handler.WithAttrs(attrs)}
}

func (q quieter) WithGroup(name string) slog.Handler { return quieter{q.Handler.WithGroup(name)} }
