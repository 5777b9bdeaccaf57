package dns

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sockets keeps what the server listens on while no daemon runs, so that what is asked meanwhile waits.
type Sockets interface {
	// Take gives what was kept under a name, for the caller to close.
	Take(name string) []*os.File
	// Keep replaces what is kept under a name. The sockets stay the caller's.
	Keep(name string, sockets []syscall.Conn) error
}

// bind gives l its UDP sockets and returns the one for TCP: those that were kept for this address, with
// what has arrived there meanwhile, and new ones for what is missing. Every kept one is read from, or a
// client that the kernel gives to it would wait in vain.
func (s *Server) bind(ctx context.Context, l *listeners) (net.Listener, error) {
	t := s.takeOver(l)
	lc := net.ListenConfig{Control: shared}
	for len(l.udp) < runtime.GOMAXPROCS(0) {
		c, err := lc.ListenPacket(ctx, "udp4", l.at.String())
		if err != nil {
			if t != nil {
				t.Close()
			}
			return nil, err
		}
		u := c.(*net.UDPConn)
		l.udp = append(l.udp, u)
		l.at = u.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	if t == nil {
		n, err := lc.Listen(ctx, "tcp4", l.at.String())
		if err != nil {
			return nil, err
		}
		t = n.(*net.TCPListener)
	}
	if s.cfg.Sockets != nil {
		all := []syscall.Conn{t}
		for _, c := range l.udp {
			all = append(all, c)
		}
		if err := s.cfg.Sockets.Keep(socketsName, all); err != nil {
			s.log.Warn("questions will fail while the daemon restarts", "err", err)
		}
	}
	return t, nil
}

// socketsName is what the sockets are kept under.
const socketsName = "dns"

// takeOver gives l the kept UDP sockets of its address, and returns the one for TCP, nil if there is none.
func (s *Server) takeOver(l *listeners) (t *net.TCPListener) {
	if s.cfg.Sockets == nil {
		return nil
	}
	for _, f := range s.cfg.Sockets.Take(socketsName) {
		if n, err := net.FileListener(f); err == nil {
			if kept, ok := n.(*net.TCPListener); ok && t == nil && addressOf(kept.Addr()) == l.at {
				t = kept
			} else {
				n.Close()
			}
		} else if c, err := net.FilePacketConn(f); err == nil {
			if kept, ok := c.(*net.UDPConn); ok && addressOf(kept.LocalAddr()) == l.at {
				l.udp = append(l.udp, kept)
			} else {
				c.Close()
			}
		}
		f.Close()
	}
	return t
}

func addressOf(a net.Addr) netip.AddrPort {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return at
}

// shared lets several sockets have one address, before a link has it (IP_FREEBIND).
func shared(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		if failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); failed == nil {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
		}
	})
	if err != nil {
		return err
	}
	return failed
}
