package helm

import (
	"context"
	"log"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// listen gathers what Helm's library tells through the process's loggers until stop: values that it
// left out because they do not fit. heard is every such line once, sorted.
func listen() (heard func() []string, stop func()) {
	l := &listener{lines: make(map[string]bool)}
	logger, output, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(l))
	return func() []string { return slices.Sorted(maps.Keys(l.lines)) }, func() {
		slog.SetDefault(logger)
		log.SetOutput(output)
		log.SetFlags(flags)
	}
}

// listener implements slog.Handler. It is for one goroutine.
type listener struct {
	lines map[string]bool
	attrs []slog.Attr
}

// Enabled leaves out what is said about the normal course of things; what the log package prints comes
// as Info.
func (l *listener) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	line, warning := strings.CutPrefix(strings.TrimSpace(r.Message), "warning: ")
	if !warning && r.Level < slog.LevelWarn {
		return nil
	}
	add := func(a slog.Attr) bool {
		line += ", " + a.Key + " " + a.Value.String()
		return true
	}
	for _, a := range l.attrs {
		add(a)
	}
	r.Attrs(add)
	l.lines[line] = true
	return nil
}

func (l *listener) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &listener{l.lines, append(slices.Clone(l.attrs), attrs...)}
}

func (l *listener) WithGroup(string) slog.Handler { return l }
