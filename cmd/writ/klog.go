package main

import (
	"context"
	"log/slog"

	"k8s.io/klog/v2"
)

// upstreamLog makes what upstream's API server writes part of the daemon's log. What it finds worth telling is of
// interest to who looks for a fault in it.
func upstreamLog(log *slog.Logger) {
	klog.SetSlogLogger(slog.New(quieter{log.With("component", "api").Handler()}))
}

// quieter takes what is told as information for detail.
type quieter struct{ slog.Handler }

func (q quieter) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, quiet(level))
}

func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = quiet(r.Level)
	return q.Handler.Handle(ctx, r)
}

func (q quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quieter{q.Handler.WithAttrs(attrs)}
}

func (q quieter) WithGroup(name string) slog.Handler { return quieter{q.Handler.WithGroup(name)} }

func quiet(level slog.Level) slog.Level {
	if level < slog.LevelWarn {
		return min(level, slog.LevelDebug)
	}
	return level
}
