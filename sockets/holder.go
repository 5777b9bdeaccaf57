package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// HolderFD is the descriptor of the listening socket that a holder is started with.
const HolderFD = 3

// patience is how long a holder may take to answer.
const patience = 5 * time.Second

// holder is the daemon's side of a holder. Its methods but lost are called by one at a time.
type holder struct {
	binary, path string
	conn         *net.UnixConn
	watch        *net.UnixConn // the same connection, to see its end
}

// reopen connects to the holder that is there, or starts one.
func (h *holder) reopen() error {
	h.hangUp()
	conn, err := h.dial()
	if err != nil {
		if err := h.start(); err != nil {
			return fmt.Errorf("start holder of sockets: %w", err)
		}
		if conn, err = h.dial(); err != nil {
			return fmt.Errorf("connect to holder of sockets: %w", err)
		}
	}
	f, err := conn.File()
	if err != nil {
		conn.Close()
		return err
	}
	defer f.Close()
	watch, err := net.FileConn(f)
	if err != nil {
		conn.Close()
		return err
	}
	h.conn, h.watch = conn, watch.(*net.UnixConn)
	return nil
}

func (h *holder) dial() (*net.UnixConn, error) {
	return net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: h.path, Net: "unixpacket"})
}

// start makes the socket itself, so that the holder can be spoken to at once.
func (h *holder) start() error {
	if err := os.Remove(h.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: h.path, Net: "unixpacket"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	if err := os.Chmod(h.path, 0o600); err != nil {
		return err
	}
	f, err := l.File()
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.Command(h.binary, "hold", "--dir", filepath.Dir(h.path))
	cmd.Dir = "/"
	cmd.Env = []string{"GOMAXPROCS=1", "MALLOC_ARENA_MAX=1"}
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // until this process ends, nobody else would reap it
	return nil
}

// ask sends one request and reads its answer.
func (h *holder) ask(m message, fds []int) ([]int, error) {
	if h.conn == nil {
		return nil, errors.New("no holder is there")
	}
	if err := h.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	err := send(h.conn, m, fds)
	var answer message
	var got []int
	if err == nil {
		answer, got, err = receive(h.conn)
	}
	if err != nil { // what comes next would answer another question: begin again
		_, _ = h.conn.CloseRead(), h.conn.CloseWrite()
		return nil, err
	}
	if answer.Error != "" {
		closeAll(got)
		return nil, errors.New(answer.Error)
	}
	return got, nil
}

func (h *holder) take(name string) ([]*os.File, error) {
	fds, err := h.ask(message{Op: opTake, Name: name}, nil)
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), name)
	}
	return files, err
}

func (h *holder) keep(name string, fds []int) error {
	_, err := h.ask(message{Op: opKeep, Name: name}, fds)
	return err
}

func (h *holder) lost(ctx context.Context) {
	watch := h.watch
	if watch == nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = watch.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := watch.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(hungUp) // its end is all there is to know
}

// hungUp says whether the other side has closed a connection.
func hungUp(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}

func (h *holder) end() error {
	if h.conn == nil {
		return nil
	}
	_, err := h.ask(message{Op: opEnd}, nil)
	h.hangUp()
	return errors.Join(err, os.RemoveAll(h.path))
}

func (h *holder) close() error {
	h.hangUp()
	return nil
}

func (h *holder) hangUp() {
	if h.conn != nil {
		h.conn.Close()
		h.watch.Close()
		h.conn, h.watch = nil, nil
	}
}
