package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// reaper takes the zombies of processes that nobody here started: orphans of
// containers that share a pid namespace come to the shim, the next subreaper.
// It must never take one that os/exec or libcontainer is about to wait for, so
// it only acts while no start is under way, and not on a process that is known.
type reaper struct {
	log *slog.Logger

	starting sync.RWMutex  // held for reading while children are made
	made     chan struct{} // tells that it was let go

	mu    sync.Mutex
	known map[int]struct{}
}

func newReaper(log *slog.Logger) *reaper {
	return &reaper{log: log, known: map[int]struct{}{}, made: make(chan struct{}, 1)}
}

// begin announces children that are not known yet; call the result when they
// are, or are gone.
func (r *reaper) begin() (end func()) {
	r.starting.RLock()
	return sync.OnceFunc(func() {
		r.starting.RUnlock()
		select {
		case r.made <- struct{}{}:
		default:
		}
	})
}

// keep says that somebody else waits for this child.
func (r *reaper) keep(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[pid] = struct{}{}
}

func (r *reaper) release(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, pid)
}

// run reaps until ctx ends.
func (r *reaper) run(ctx context.Context) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for swept := r.sweep(); ; { // what ended before
		made := r.made
		if swept {
			made = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-made:
		case <-ended:
		}
		swept = r.sweep()
	}
}

// sweep reports whether it could. It does not wait: while it did nobody could begin
// to make a child, and one of those that do may hang.
func (r *reaper) sweep() bool {
	if !r.starting.TryLock() {
		return false
	}
	defer r.starting.Unlock()
	for _, pid := range children() {
		r.mu.Lock()
		_, known := r.known[pid]
		r.mu.Unlock()
		if known {
			continue
		}
		var status unix.WaitStatus
		if got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); err == nil && got == pid {
			r.log.Debug("reaped an orphan", "pid", pid)
		}
	}
	return true
}

// children lists this process's children, which belong to the thread that made
// or inherited them.
func children() []int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	var out []int
	for _, task := range tasks {
		data, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%s/children", task.Name()))
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				out = append(out, pid)
			}
		}
	}
	return out
}
