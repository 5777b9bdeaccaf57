package sockets

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Config of a Keeper.
type Config struct {
	// Binary is the path of writ-shim, which is the holder's program as well.
	Binary string
	// Dir is the daemon's run directory, absolute, 0700.
	Dir string
	Log *slog.Logger
}

// SocketName is the holder's socket in the run directory.
const SocketName = "sockets.sock"

// retry is the time between two attempts to start a holder.
const retry = time.Second

// store is where descriptors outlive this process.
type store interface {
	// take gives what is kept under a name, which stays kept. The caller closes the files.
	take(name string) ([]*os.File, error)
	// keep replaces what is kept under a name.
	keep(name string, fds []int) error
	// lost returns when the store is gone with what it held, or ctx ends.
	lost(ctx context.Context)
	// reopen makes an empty one after that.
	reopen() error
	// end lets go of everything.
	end() error
	close() error
}

// Keeper keeps sockets by name. It is safe for concurrent use.
type Keeper struct {
	log   *slog.Logger
	store store

	mu    sync.Mutex
	given map[string][]int // descriptors of our own, for a store that has to be filled again
}

// Open finds what an earlier process kept. Without a store that works nothing is kept until Run has
// made one.
func Open(cfg Config) *Keeper {
	k := &Keeper{log: cfg.Log.With("component", "sockets"), given: map[string][]int{}}
	if s, ok := openSystemd(); ok {
		k.store = s
		return k
	}
	k.store = &holder{binary: cfg.Binary, path: filepath.Join(cfg.Dir, SocketName)}
	if err := k.store.reopen(); err != nil {
		k.log.Warn("sockets will not outlive this daemon", "err", err)
	}
	return k
}

// Take gives what an earlier process kept under a name. The caller closes the files.
func (k *Keeper) Take(name string) []*os.File {
	k.mu.Lock()
	defer k.mu.Unlock()
	files, err := k.store.take(name)
	if err != nil {
		k.log.Warn("kept sockets not taken over", "name", name, "err", err)
	}
	return files
}

// Keep makes sockets outlive this process, in place of what was kept under that name. They stay the
// caller's, who closes them; the kernel goes on to receive on them until something else is kept.
func (k *Keeper) Keep(name string, sockets []syscall.Conn) error {
	fds := make([]int, 0, len(sockets))
	for _, s := range sockets {
		fd, err := duplicate(s)
		if err != nil {
			closeAll(fds)
			return fmt.Errorf("keep %s: %w", name, err)
		}
		fds = append(fds, fd)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	closeAll(k.given[name])
	k.given[name] = fds
	if err := k.store.keep(name, fds); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// Run replaces a store that is gone until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		k.store.lost(ctx)
		if ctx.Err() != nil {
			return nil
		}
		k.log.Warn("the holder of the sockets is gone, another one is started")
		if err := k.again(); err != nil {
			k.log.Warn("sockets will not outlive this daemon", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(retry):
			}
		}
	}
}

// again fills a new store.
func (k *Keeper) again() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.store.reopen(); err != nil {
		return err
	}
	for name, fds := range k.given {
		if err := k.store.keep(name, fds); err != nil {
			return fmt.Errorf("keep %s: %w", name, err)
		}
	}
	return nil
}

// Release lets go of everything; the holder ends. Run must have returned.
func (k *Keeper) Release() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
	if err := k.store.end(); err != nil {
		return fmt.Errorf("let go of kept sockets: %w", err)
	}
	return nil
}

// Close ends the use of the store, which goes on to hold what it was given.
func (k *Keeper) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
	return k.store.close()
}

func (k *Keeper) forget() {
	for name, fds := range k.given {
		closeAll(fds)
		delete(k.given, name)
	}
}

// duplicate makes a descriptor of our own. It is never given to Go's poller, which would wake this
// process a second time for all that arrives.
func duplicate(s syscall.Conn) (int, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, err
	}
	dup, failed := 0, error(nil)
	if err := raw.Control(func(fd uintptr) { dup, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return 0, err
	}
	return dup, failed
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
