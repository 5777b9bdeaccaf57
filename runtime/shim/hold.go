package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// outputs keeps what containers print from getting lost. What lies in a FIFO
// goes with the last one who has it open: if a shim is killed and a container
// ends before the next shim, its last lines would go. While a client holds the
// FIFOs, without reading, they wait for the next shim, up to 1 MiB for each
// stream.
type outputs struct {
	mu     sync.Mutex
	held   map[string]*output
	closed bool // for good: events that are still read hold nothing any more
}

// follow holds the output of a container that started and lets go of one that
// ended. What cannot be held is not: the worst is what would be without.
func (o *outputs) follow(dir string, e Event) {
	if e.Container == nil {
		return
	}
	id := e.Container.ID
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.Container.Status != StatusRunning {
		if held := o.held[id]; held != nil {
			held.close()
			delete(o.held, id)
		}
		return
	}
	if o.held[id] != nil || o.closed {
		return
	}
	if held, err := hold(dir, id); err == nil {
		if o.held == nil {
			o.held = map[string]*output{}
		}
		o.held[id] = held
	}
}

func (o *outputs) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, held := range o.held {
		held.close()
	}
	o.held, o.closed = nil, true
}

type output struct{ files []*os.File }

// hold opens the FIFOs of a container; one with a terminal has none.
func hold(dir, id string) (*output, error) {
	held := &output{}
	for _, name := range []string{"stdout", "stderr"} {
		path := filepath.Join(dir, "c", id, name)
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0) // without O_NONBLOCK: for that each line would wake the poller of the daemon
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			held.close()
			return nil, fmt.Errorf("hold output %s: %w", path, err)
		}
		held.files = append(held.files, os.NewFile(uintptr(fd), path))
	}
	return held, nil
}

func (o *output) close() {
	for _, f := range o.files {
		f.Close()
	}
}
