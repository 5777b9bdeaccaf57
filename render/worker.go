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
	w.files.begin(unit)
	job, refused, err := w.job(ctx, unit)
	if err != nil || refused != "" {
		return manifest.Rendering{Mistakes: manifest.Mistakes{{Source: unit.Source, What: refused}}}, err
	}
	if w.child == nil {
		c, err := start(w.config)
		if err != nil {
			return manifest.Rendering{}, err
		}
		w.child = c
	}
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	end := time.Now().Add(w.config.Timeout)
	timer := time.AfterFunc(w.config.Timeout, func() { cancel(errTimeout) })
	defer timer.Stop()
	stop := context.AfterFunc(ctx, w.child.Kill)
	defer stop()
	result, err := w.talk(job, func(ask wire.Ask) wire.Answer {
		began, running := time.Now(), timer.Stop() // what a server takes is not the child's time
		answer := w.base(outer, ask)
		if end = end.Add(time.Since(began)); running {
			timer.Reset(time.Until(end))
		}
		return answer
	})
	if err == nil {
		if !stop() { // the result came when it was being killed
			w.stop()
		}
		return w.settle(rendering(unit, result))
	}
	what := "cannot be rendered: " + w.child.End(err)
	w.child = nil
	if errors.Is(context.Cause(ctx), errTimeout) {
		what = fmt.Sprintf("took longer than %s to render", w.config.Timeout)
	} else if ctx.Err() != nil {
		return manifest.Rendering{}, ctx.Err()
	}
	return w.settle(manifest.Rendering{Mistakes: manifest.Mistakes{{Source: unit.Source, What: what}}})
}

var errTimeout = errors.New("too slow")

// talk gives the child a job and answers until the result comes; base answers questions for remote bases.
func (w *worker) talk(job *wire.Job, base func(wire.Ask) wire.Answer) (*wire.Result, error) {
	conn := w.child.Conn
	if err := conn.Send(wire.Message{Job: job}, nil); err != nil {
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
		var answer wire.Answer
		var body []byte
		if m.Ask.Op == wire.Base {
			answer = base(*m.Ask)
		} else {
			answer, body = w.files.answer(*m.Ask)
		}
		if err := conn.Send(wire.Message{Answer: &answer}, body); err != nil {
			return nil, err
		}
	}
}

func (w *worker) stop() {
	if w.child != nil {
		w.child.Stop()
		w.child = nil
	}
}

// start runs a child that waits for jobs.
func start(c Config) (*process.Process, error) {
	return process.Start(c.Program, "render", fmt.Sprint(c.Memory), fmt.Sprint(int(5*c.Timeout/time.Second)))
}
