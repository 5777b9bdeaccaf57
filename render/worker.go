package render

import (
	"context"
	"errors"
	"fmt"
	"time"

	"writ/manifest"
	"writ/render/process"
	"writ/render/wire"
)

// worker renders one unit after the other with a child that it starts when it needs one.
type worker struct {
	config Config
	files  *server
	child  *process.Process
}

// render builds one unit. A child that dies or takes too long is a mistake of the unit.
func (w *worker) render(ctx context.Context, unit manifest.Unit) (manifest.Rendering, error) {
	if unit.Chart != nil {
		return manifest.Rendering{Mistakes: manifest.Mistakes{{Source: unit.Source, What: "Helm charts are not rendered yet; commit the output of `helm template`"}}}, nil
	}
	if w.child == nil {
		c, err := start(w.config)
		if err != nil {
			return manifest.Rendering{}, err
		}
		w.child = c
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.config.Timeout, errTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, w.child.Kill)
	defer stop()
	w.files.begin(unit)
	result, err := w.talk(unit)
	if err == nil {
		return rendering(unit, result, w.files), nil
	}
	what := "cannot be rendered: " + w.child.End(err)
	w.child = nil
	if errors.Is(context.Cause(ctx), errTimeout) {
		what = fmt.Sprintf("took longer than %s to render", w.config.Timeout)
	} else if ctx.Err() != nil {
		return manifest.Rendering{}, ctx.Err()
	}
	r := manifest.Rendering{Mistakes: manifest.Mistakes{{Source: unit.Source, What: what}}}
	return r, nil
}

var errTimeout = errors.New("too slow")

// talk gives the child a unit and answers until the result comes.
func (w *worker) talk(unit manifest.Unit) (*wire.Result, error) {
	conn := w.child.Conn
	if err := conn.Send(wire.Message{Job: job(unit)}, nil); err != nil {
		return nil, err
	}
	for {
		m, _, err := conn.Receive()
		switch {
		case err != nil:
			return nil, err
		case m.Result != nil:
			return m.Result, nil
		case m.Ask == nil:
			return nil, errors.New("the child neither asked nor ended")
		}
		answer, body := w.files.answer(*m.Ask)
		if err := conn.Send(wire.Message{Answer: &answer}, body); err != nil {
			return nil, err
		}
	}
}

func job(unit manifest.Unit) *wire.Job {
	return &wire.Job{Kustomization: unit.Folder}
}

func (w *worker) stop() {
	if w.child != nil {
		w.child.Stop()
	}
}

// start runs a child that waits for jobs.
func start(c Config) (*process.Process, error) {
	return process.Start(c.Program, "render", fmt.Sprint(c.Memory), fmt.Sprint(int(5*c.Timeout/time.Second)))
}
