package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/containerd/console"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/utils"
	"golang.org/x/sys/unix"

	"writ/runtime/shim"
	"writ/runtime/shim/crilog"
)

// terminal is the master side of a process's pseudo terminal. It lives in this
// process only: when the shim is killed, the process gets SIGHUP.
type terminal struct {
	master *os.File    // nonblocking
	hung   atomic.Bool // its process has ended
}

// consoleSocket makes the pair of sockets over which libcontainer hands out a
// terminal: ours, and the one for the process.
func consoleSocket(process *libcontainer.Process) (ours, theirs *os.File, err error) {
	ours, theirs, err = utils.NewSockPair("console")
	if err != nil {
		return nil, nil, fmt.Errorf("make console socket: %w", err)
	}
	process.ConsoleSocket = theirs
	return ours, theirs, nil
}

// receiveTerminal waits for the terminal that the process has made.
func receiveTerminal(socket *os.File) (*terminal, error) {
	const room = 4096 // it sends the name along
	name, oob := make([]byte, room), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(int(socket.Fd()), name, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive terminal: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("receive terminal: %d messages with %d bytes (%w)", len(messages), n, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("receive terminal: %d descriptors (%w)", len(fds), err)
	}
	if err := errors.Join(console.ClearONLCR(uintptr(fds[0])), unix.SetNonblock(fds[0], true)); err != nil {
		unix.Close(fds[0])
		return nil, fmt.Errorf("set up terminal: %w", err)
	}
	return &terminal{master: os.NewFile(uintptr(fds[0]), "terminal")}, nil
}

// Write types into the terminal.
func (t *terminal) Write(p []byte) (int, error) { return t.master.Write(p) }

func (t *terminal) resize(size shim.Size) error {
	return control(t.master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
	})
}

// hangup makes readers return once they have read what is there, also when
// some other process still holds the terminal.
func (t *terminal) hangup() {
	const drain = 100 * time.Millisecond
	t.hung.Store(true)
	_ = t.master.SetReadDeadline(time.Now().Add(drain))
}

func (t *terminal) close() { t.master.Close() }

// ended reports whether a read error only means that the other side is gone.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, unix.EIO) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed)
}

func (s *streams) openTerminal(process *libcontainer.Process) error {
	ours, theirs, err := consoleSocket(process)
	if err != nil {
		return err
	}
	s.socket = ours
	s.closes = append(s.closes, ours, theirs)
	return nil
}

// takeTerminal connects the terminal of a started container to its log.
func (c *container) takeTerminal(socket *os.File) error {
	t, err := receiveTerminal(socket)
	if err != nil {
		return err
	}
	c.terminal = t
	c.output.terminal = t
	return nil
}

// followTerminal copies a terminal until the other side is gone.
func (o *output) followTerminal(t *terminal) {
	kept := o.kept
	o.kept = nil
	buf := make([]byte, chunk)
	for {
		n, err := t.master.Read(buf)
		kept = append(kept, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) && !t.hung.Load() { // a pause, over or not
			if p := o.standing.Load(); p != nil {
				p.park(kept)
			}
			if n == 0 {
				continue
			}
			err = nil
		}
		end := crilog.Keep
		if err != nil {
			end = crilog.Finish
		}
		kept = o.write(kept, n, end)
		if err != nil {
			if !ended(err) {
				o.log.Error("terminal is not read any more", "err", err)
			}
			return
		}
	}
}

// write moves lines from memory to the log and returns the rest; the last n
// bytes are new.
func (o *output) write(data []byte, n int, end crilog.End) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taps.send(crilog.Stdout, data[len(data)-n:])
	for len(data) > 0 {
		text, taken := crilog.Format(nil, crilog.Stdout, time.Now(), data, end)
		if taken == 0 {
			break
		}
		o.note(o.file.Append(text, taken, nil))
		data = data[taken:]
	}
	return append([]byte(nil), data...)
}
