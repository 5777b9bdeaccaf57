package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"syscall"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sys/unix"

	"writ/manifest"
)

// servicePort is that of Service default/kubernetes.
const servicePort = 443

// follow answers at the cluster IP of Service default/kubernetes, where pods look for the API, wherever that is, until ctx
// ends. The address need not be on a link yet.
func (s *Server) follow(ctx context.Context, server *http.Server) {
	var open net.Listener
	var at netip.Addr
	defer func() { closeIf(open) }()
	for ctx.Err() == nil {
		w := s.cfg.Feed.World()
		if next := s.serviceAddress(); next != at {
			closeIf(open)
			open, at = nil, next
			if at.IsValid() {
				open = s.listenAt(ctx, server, netip.AddrPortFrom(at, servicePort))
			}
		}
		select {
		case <-s.cfg.Feed.Changed(w.Revision()):
		case <-ctx.Done():
		}
	}
}

func closeIf(l net.Listener) {
	if l != nil {
		l.Close()
	}
}

func (s *Server) listenAt(ctx context.Context, server *http.Server, at netip.AddrPort) net.Listener {
	lc := net.ListenConfig{Control: beforehand}
	l, err := lc.Listen(ctx, "tcp4", at.String())
	if err != nil {
		s.cfg.Log.Warn("pods do not reach the API", "address", at, "err", err)
		return nil
	}
	s.cfg.Serving.Add(at.Addr())
	go func() { _ = server.ServeTLS(l, "", "") }() // it ends when l is closed
	return l
}

// beforehand lets a socket have an address before a link has it.
func beforehand(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_FREEBIND, 1) })
	if err != nil {
		return err
	}
	return failed
}

// serviceAddress is the Service's cluster IP, invalid before it has one.
func (s *Server) serviceAddress() netip.Addr {
	r := s.cfg.Feed.World().Get(manifest.ServiceRef(metav1.NamespaceDefault, "kubernetes"))
	if r == nil || r.Allocation == nil || len(r.Allocation.ClusterIPs) == 0 {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(r.Allocation.ClusterIPs[0])
	return a
}
