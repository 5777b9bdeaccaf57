package supervisor

import (
	"log/slog"
	"os"
	"testing"

	"writ/runtime/shim"
)

func emptyPod(t *testing.T) *pod {
	return newPod(t.TempDir(), slog.New(slog.DiscardHandler), shim.Hello{Incarnation: 1}, "boot")
}

func (p *pod) running(t *testing.T, id string) *container {
	t.Helper()
	if err := os.MkdirAll(p.container(id), 0o700); err != nil {
		t.Fatal(err)
	}
	c := newContainer(p, shim.Container{ID: id, Status: shim.StatusRunning})
	p.containers[id] = c
	return c
}

// TestPauseOutput_OfAHalfTakenPod: a takeover that failed gives everything back, whatever it had come to.
func TestPauseOutput_OfAHalfTakenPod(t *testing.T) {
	p := emptyPod(t)
	p.running(t, "untouched")
	tty := p.running(t, "tty")
	tty.terminal = &terminal{}
	tty.output = &output{terminal: tty.terminal, kept: []byte("begun ")}
	terminals, resume, err := p.pauseOutput()
	defer resume()
	if err != nil || len(terminals) != 1 || string(terminals["tty"].Kept) != "begun " {
		t.Errorf("terminals: %v, %v, want the line that was begun", terminals, err)
	}
}
