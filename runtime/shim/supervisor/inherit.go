package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// receive takes what the program before left to this one, nil if this shim was
// started and not executed.
func receive() (*handover, error) {
	text := os.Getenv(handoverEnv)
	if text == "" {
		return nil, nil
	}
	if err := os.Unsetenv(handoverEnv); err != nil {
		return nil, err
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("read handover: %w", err)
	}
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "handover")
	defer file.Close()
	var h handover
	if err := json.NewDecoder(file).Decode(&h); err != nil {
		return nil, fmt.Errorf("read handover: %w", err)
	}
	for _, fd := range h.descriptors() {
		unix.CloseOnExec(fd) // no container is to get them
	}
	return &h, nil
}

func (h *handover) descriptors() []int {
	all := append([]int{h.Lock, h.Listener, h.Client, h.Old}, h.Keep...)
	for _, t := range h.Terminals {
		all = append(all, t.Master)
	}
	return all
}

// lock is the directory's, which this process has held all the time.
func (h *handover) lock(ctx context.Context, dir string) (*os.File, error) {
	if h == nil {
		return succeed(ctx, dir)
	}
	return copyOf(h.Lock, "lock")
}

func (h *handover) listen(dir string) (*net.UnixListener, error) {
	if h == nil {
		return listen(dir)
	}
	file, err := copyOf(h.Listener, "socket")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	listener, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.New("listen: what was handed over is no unix socket")
	}
	listener.SetUnlinkOnClose(false)
	return listener, nil
}

// terminal is that of a container, nil if none was handed over: then it ended
// with its shim.
func (h *handover) terminal(id string) (*terminal, []byte) {
	if h == nil {
		return nil, nil
	}
	handed, ok := h.Terminals[id]
	if !ok {
		return nil, nil
	}
	file, err := copyOf(handed.Master, "terminal")
	if err != nil {
		return nil, nil
	}
	return &terminal{master: file}, handed.Kept
}

// copyOf leaves the descriptor itself for a program that may have to go on with it.
func copyOf(fd int, name string) (*os.File, error) {
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstDescriptor)
	if err != nil {
		return nil, fmt.Errorf("take over %s: %w", name, err)
	}
	return os.NewFile(uintptr(copied), name), nil
}

// finish is called when this program serves: it answers who asked for it, and lets
// go of what was only held so that nothing is lost.
func (h *handover) finish(p *pod) {
	if h == nil {
		return
	}
	answer := shim.Response{}
	if h.Failed != "" {
		answer.Error = shim.Errorf(shim.CodeInternal, "the new program could not take over, the old one goes on: %s", h.Failed)
	}
	if body, err := json.Marshal(p.hello); err == nil {
		answer.Body = body
	}
	client := os.NewFile(uintptr(h.Client), "client")
	if err := shim.NewFrameWriter(client).WriteJSON(shim.FrameMessage, answer); err != nil {
		p.log.Debug("answer to an upgrade", "err", err)
	}
	client.Close()
	for _, fd := range h.descriptors() {
		if fd != h.Client {
			unix.Close(fd)
		}
	}
	p.handed = nil
}

// giveBack lets the program before go on. It returns if there is none, or if it
// cannot be executed either.
func (s *server) giveBack(why error) error {
	h := s.handed
	if h == nil || h.Failed != "" {
		return nil
	}
	s.log.Error("cannot take over, the program before goes on", "err", why)
	if s.pod != nil {
		terminals, _, err := s.pod.pauseOutput()
		if err != nil {
			return err
		}
		for id, lines := range terminals {
			handed := h.Terminals[id]
			handed.Kept = lines.Kept
			h.Terminals[id] = handed
		}
	}
	h.Failed = why.Error()
	for _, fd := range h.descriptors() {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("give back: %w", err)
		}
	}
	return h.execute("/proc/self/fd/"+strconv.Itoa(h.Old), h.Args)
}

// Check says whether this program could take over the pod of a living shim, and
// what it understands of a handover. It changes nothing.
func Check(dir string) (format string, err error) {
	where := paths{dir}
	entries, err := os.ReadDir(where.containers())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	var box sandboxRecord
	if _, err := readJSON(where.sandbox(), &box); err != nil {
		return "", err
	}
	for _, e := range entries {
		if err := where.check(e.Name()); err != nil {
			return "", fmt.Errorf("container %s: %w", e.Name(), err)
		}
	}
	return handoverFormat, nil
}

func (p paths) check(id string) error {
	var state shim.Container
	if found, err := readJSON(p.state(id), &state); err != nil || !found || state.Status != shim.StatusRunning {
		return err
	}
	var request shim.StartRequest
	if found, err := readJSON(p.request(id), &request); err != nil || !found || request.Spec == nil || request.Spec.Process == nil {
		return errors.Join(errors.New("its request is not readable"), err)
	}
	if p.foreignOf(request) != nil {
		return nil // its program keeps it
	}
	_, err := libcontainer.Load(p.runc(), id)
	return err
}
