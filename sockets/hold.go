package sockets

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Idle is how long a holder waits for a daemon before it lets go.
const Idle = time.Minute

// Hold is the holder: it keeps what it is given over connections to l, until it is told to end or
// nobody was connected for a time. It serves one daemon after the other and owns l.
func Hold(l *net.UnixListener, idle time.Duration) error {
	held := shelf{}
	defer held.clear()
	defer l.Close()
	for {
		if err := l.SetDeadline(time.Now().Add(idle)); err != nil {
			return err
		}
		c, err := l.AcceptUnix()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("hold sockets: %w", err)
		}
		if ended := held.serve(c); ended {
			return nil
		}
	}
}

// shelf holds descriptors by name. They are plain numbers: as files they would be watched by Go's
// poller, and whatever arrives would wake the holder.
type shelf map[string][]int

// serve answers one daemon until it hangs up, and says whether it told the holder to end.
func (s shelf) serve(c *net.UnixConn) (ended bool) {
	defer c.Close()
	if err := samePeer(c); err != nil {
		_ = send(c, message{Error: err.Error()}, nil)
		return false
	}
	for {
		m, fds, err := receive(c)
		if err != nil {
			return false
		}
		answer, back := message{}, []int(nil)
		switch m.Op {
		case opKeep:
			closeAll(s[m.Name])
			s[m.Name] = fds
			fds = nil
		case opTake:
			back = s[m.Name]
		case opEnd:
			s.clear()
			ended = true
		default:
			answer.Error = fmt.Sprintf("a holder knows no %q", m.Op)
		}
		closeAll(fds)
		if err := send(c, answer, back); err != nil || ended {
			return ended
		}
	}
}

func (s shelf) clear() {
	for name, fds := range s {
		closeAll(fds)
		delete(s, name)
	}
}

// samePeer refuses everybody but the holder's own user: descriptors are handed out.
func samePeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("user %d may not ask for sockets", peer.Uid)
	}
	return nil
}
