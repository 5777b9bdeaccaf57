package dns

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// shelf keeps sockets as their own descriptors, like a process that outlives the server.
type shelf struct{ held map[string][]int }

func (s *shelf) Take(name string) []*os.File {
	var files []*os.File
	for _, fd := range s.held[name] {
		again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			files = append(files, os.NewFile(uintptr(again), name))
		}
	}
	return files
}

func (s *shelf) Keep(name string, sockets []syscall.Conn) error {
	s.clear()
	for _, c := range sockets {
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		if err := raw.Control(func(fd uintptr) {
			if again, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
				s.held[name] = append(s.held[name], again)
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) clear() {
	for _, fds := range s.held {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	s.held = map[string][]int{}
}

// begin runs a server with kept sockets and returns where it answers, and what stops it.
func begin(t *testing.T, kept *shelf, at string) (string, func()) {
	t.Helper()
	s, err := New(Config{Node: "n1", Sockets: kept, Resolvers: func() []string { return nil }}, still{newCluster(t).world}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l, err := s.open(ctx, netip.MustParseAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	return l.at.String(), func() { cancel(); l.close() }
}

func TestServer_QuestionsWaitForTheNextServer(t *testing.T) {
	kept := &shelf{held: map[string][]int{}}
	defer kept.clear()
	at, stop := begin(t, kept, "127.0.0.1:0")
	ask(t, "udp", at, "web.shop.svc.cluster.local.", dns.TypeA)
	stop()

	const clients = 16 // so that each of the kernel's sockets gets some
	type answer struct {
		m   *dns.Msg
		err error
	}
	answers := make(chan answer, 2*clients)
	var asked []*dns.Conn
	for i := range 2 * clients {
		c, err := dns.DialTimeout([]string{"udp", "tcp"}[i%2], at, time.Second)
		if err != nil {
			t.Fatalf("connect while no server runs: %v", err)
		}
		defer c.Close()
		asked = append(asked, c)
		m := new(dns.Msg)
		m.SetQuestion("web.shop.svc.cluster.local.", dns.TypeA)
		if err := c.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	again, stop := begin(t, kept, at)
	defer stop()
	if again != at {
		t.Errorf("the next server answers at %s, want %s", again, at)
	}
	for _, c := range asked {
		go func() {
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				answers <- answer{nil, err}
				return
			}
			m, err := c.ReadMsg()
			answers <- answer{m, err}
		}()
	}
	for range asked {
		if a := <-answers; a.err != nil || len(a.m.Answer) != 1 {
			t.Errorf("what was asked meanwhile: %v, %v", a.m, a.err)
		}
	}
}

func TestServer_SocketsOfAnotherAddress(t *testing.T) {
	kept := &shelf{held: map[string][]int{}}
	defer kept.clear()
	old, stop := begin(t, kept, "127.0.0.1:0")
	stop()
	at, stop := begin(t, kept, "127.0.0.2:0")
	defer stop()
	if r := ask(t, "udp", at, "web.shop.svc.cluster.local.", dns.TypeA); len(r.Answer) != 1 {
		t.Errorf("%v", r)
	}
	if c, err := net.Dial("tcp", old); err == nil {
		c.Close()
		t.Errorf("%s is still listened on", old)
	}
}
