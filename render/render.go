package render

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"writ/manifest"
	"writ/render/wire"
)

// Config is what a Renderer is made of.
type Config struct {
	Program   string             // path of the binary writ-render
	Decrypter manifest.Decrypter // may be nil: encrypted files cannot be read then
	Memory    int64              // bytes for one child, DefaultMemory if 0
	Timeout   time.Duration      // for one unit, DefaultTimeout if 0
	Charts    Charts             // may be nil: charts that lie elsewhere cannot be rendered then
	Bases     Bases              // may be nil: remote bases are refused then
	Log       *slog.Logger
}

// What one child may use, if nothing else is said.
const (
	DefaultMemory  = 1 << 30
	DefaultTimeout = 30 * time.Second
)

// Renderer implements manifest.Renderer. It may be used by several goroutines.
type Renderer struct {
	config Config
	ctx    context.Context
}

// New makes a Renderer whose children end with ctx at the latest.
func New(ctx context.Context, c Config) *Renderer {
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Renderer{config: c, ctx: ctx}
}

// Render builds the units, as many at a time as there are processors.
func (r *Renderer) Render(fsys fs.FS, units []manifest.Unit) ([]manifest.Rendering, error) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	renderings := make([]manifest.Rendering, len(units))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(len(units), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			w := &worker{config: r.config, files: newServer(fsys, r.config.Decrypter)}
			defer w.stop()
			for i := next.Add(1) - 1; int(i) < len(units) && ctx.Err() == nil; i = next.Add(1) - 1 {
				rendering, err := w.render(ctx, units[i])
				if err != nil {
					cancel(err)
					return
				}
				renderings[i] = rendering
			}
		})
	}
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	return renderings, nil
}

// rendering is a child's result in the words of manifest.
func rendering(unit manifest.Unit, result *wire.Result) manifest.Rendering {
	var r manifest.Rendering
	for _, d := range result.Documents {
		r.Documents = append(r.Documents, manifest.Rendered{Text: []byte(d.Text), Source: manifest.Source{Path: d.Path, Line: d.Line}, Namespace: d.Namespace})
	}
	r.Mistakes, r.Warnings = notes(unit, result.Mistakes), notes(unit, result.Warnings)
	for _, ask := range result.Used {
		if isArchive(ask.Path) || ask.Op == wire.Base {
			continue // what a chart's version and digest, or a base's tag or commit stand for does not change
		}
		r.Inputs = append(r.Inputs, manifest.Input{Path: ask.Path, List: ask.Op == wire.List})
	}
	if result.Release != nil && unit.Chart != nil {
		r.Release = &manifest.Release{Name: unit.Chart.Name, Namespace: unit.Chart.Namespace, Body: result.Release}
	}
	return r
}

func notes(unit manifest.Unit, from []wire.Note) manifest.Mistakes {
	var all manifest.Mistakes
	for _, n := range from {
		source := manifest.Source{Path: n.Path, Line: n.Line}
		if n.Path == "" {
			source = unit.Source
		}
		all = append(all, manifest.Mistake{Source: source, What: n.What})
	}
	return all
}
