package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"writ/manifest"
	"writ/render/wire"
)

// worker renders one unit after the other with a child that it starts when it needs one.
type worker struct {
	config Config
	files  *server
	child  *process
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
	stop := context.AfterFunc(ctx, w.child.kill)
	defer stop()
	w.files.begin(unit)
	result, err := w.talk(unit)
	if err == nil {
		return rendering(unit, result, w.files), nil
	}
	what := w.child.end(err)
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
	conn := w.child.conn
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
		w.child.kill()
		w.child.wait()
	}
}

// process is a running rendering process.
type process struct {
	command *exec.Cmd
	conn    *wire.Conn
	stderr  *tail
}

// start runs a child that waits for jobs.
func start(c Config) (*process, error) {
	command := exec.Command(c.Program, "render", fmt.Sprint(c.Memory), fmt.Sprint(int(5*c.Timeout/time.Second)))
	command.Env = []string{"GOMAXPROCS=2", "GOTRACEBACK=none"}
	confine(command)
	made := &process{command: command, stderr: &tail{}}
	command.Stderr = made.stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := launch(command); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Program, err)
	}
	made.conn = wire.NewConn(out, in)
	return made, nil
}

func (c *process) kill() { _ = c.command.Process.Kill() }

func (c *process) wait() { _ = c.command.Wait() }

// end waits for a child that broke off and says why, as far as it can be known.
func (c *process) end(cause error) string {
	c.kill()
	c.wait()
	last := c.stderr.String()
	if strings.Contains(last, "out of memory") || strings.Contains(last, "cannot allocate memory") {
		return "needs more memory to render than is allowed"
	}
	if line, _, _ := strings.Cut(last, "\n"); line != "" {
		return "cannot be rendered: " + line
	}
	return "cannot be rendered: " + cause.Error()
}

// tail keeps the first few kilobytes of what a child prints: a dying Go program says why first.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if room := 4<<10 - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
