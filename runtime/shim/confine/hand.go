package confine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Hand gives a program to the process that becomes a container. That process
// has the other end of the socket as its descriptor FD and follows this
// protocol (cmd/writ-shim, loader.go): it reads the length in bytes (four, the
// machine's order) and the program, then waits for one byte; when that comes
// it loads the program into all its threads and answers with four bytes, 0 or
// an errno. If the socket ends before that byte it exits.
type Hand struct {
	ours   *os.File
	theirs *os.File
}

// FD is the descriptor number of the other end in the process.
const FD = 3

// loadLimit bounds the wait for an answer, which is one system call away.
const loadLimit = 10 * time.Second

// NewHand sends the program on its way; nobody needs to be there yet.
func NewHand(p Program) (*Hand, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make filter socket: %w", err)
	}
	_ = unix.SetNonblock(fds[0], true) // for the deadline
	h := &Hand{ours: os.NewFile(uintptr(fds[0]), "filter"), theirs: os.NewFile(uintptr(fds[1]), "filter")}
	message := binary.NativeEndian.AppendUint32(nil, uint32(len(p)))
	if err := h.send(append(message, p...)); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Theirs is the end for the process; it is closed by Close.
func (h *Hand) Theirs() *os.File { return h.theirs }

// Load makes the process load the program and returns when it has.
func (h *Hand) Load() error {
	h.theirs.Close() // so that its end is seen
	if err := h.send([]byte{'L'}); err != nil {
		return err
	}
	_ = h.ours.SetReadDeadline(time.Now().Add(loadLimit))
	var answer [4]byte
	if _, err := io.ReadFull(h.ours, answer[:]); err != nil {
		return fmt.Errorf("load seccomp filter: %w", err)
	}
	if errno := unix.Errno(binary.NativeEndian.Uint32(answer[:])); errno != 0 {
		return fmt.Errorf("load seccomp filter: %w", errno)
	}
	return nil
}

func (h *Hand) send(data []byte) error {
	_ = h.ours.SetWriteDeadline(time.Now().Add(loadLimit))
	if _, err := h.ours.Write(data); err != nil {
		return fmt.Errorf("send seccomp filter: %w", err)
	}
	return nil
}

// Close gives back both ends. A process that has not loaded its filter yet
// ends then.
func (h *Hand) Close() error {
	if err := h.theirs.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		h.ours.Close()
		return err
	}
	return h.ours.Close()
}
