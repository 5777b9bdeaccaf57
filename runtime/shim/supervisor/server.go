package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// server answers the protocol.
type server struct {
	pod      *pod
	log      *slog.Logger
	lock     *os.File
	listener *net.UnixListener
	shutdown context.CancelFunc
	handed   *handover // nil if this shim was started, not executed
	again    []string  // the arguments of this program

	fresh     atomic.Int64  // connections whose first request has not begun
	paused    chan struct{} // accept says that it waits
	resumed   chan struct{} // and is to go on
	upgrading sync.Mutex
}

const acceptPause = 50 * time.Millisecond

// serve accepts until ctx ends. Connections are not waited for: the process
// ends after it.
func (s *server) serve(ctx context.Context) error {
	s.paused, s.resumed = make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	for {
		conn, err := s.listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.paused <- struct{}{}
			<-s.resumed
		case err != nil:
			s.log.Error("accept", "err", err)
			select { // out of descriptors, perhaps: let some go
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		default:
			s.fresh.Add(1)
			go s.handle(ctx, conn)
		}
	}
}

// pause makes new connections wait in the kernel until resume is called.
func (s *server) pause() (resume func(), err error) {
	if err := s.listener.SetDeadline(aLongTimeAgo); err != nil {
		return nil, err // it is being shut down
	}
	<-s.paused
	return func() {
		_ = s.listener.SetDeadline(time.Time{})
		s.resumed <- struct{}{}
	}, nil
}

// conversation is one connection.
type conversation struct {
	*server
	conn net.Conn
	out  *shim.FrameWriter
}

func (s *server) handle(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	begun := sync.OnceFunc(func() { s.fresh.Add(-1) })
	defer begun()
	if err := checkPeer(conn); err != nil {
		s.log.Warn("connection refused", "err", err)
		return
	}
	c := &conversation{server: s, conn: conn, out: shim.NewFrameWriter(conn)}
	for {
		var request shim.Request
		kind, payload, err := shim.ReadFrame(conn, nil)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ECONNRESET) {
				s.log.Debug("read request", "err", err)
			}
			return
		}
		if kind != shim.FrameMessage || json.Unmarshal(payload, &request) != nil {
			_ = c.refuse(shim.Errorf(shim.CodeInvalid, "not a request"))
			return
		}
		more, err := c.guarded(ctx, request, begun)
		if err != nil {
			s.log.Debug("answer", "op", request.Op, "err", err)
		}
		if !more || err != nil {
			return
		}
	}
}

// checkPeer lets only the user in who runs the shim.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if int(peer.Uid) != os.Geteuid() {
		return shim.Errorf(shim.CodeInvalid, "user %d is not the owner", peer.Uid)
	}
	return nil
}

// guarded answers while the shim cannot become another program. A wait for events
// or for a stop is none that it would lose: the client asks again.
func (c *conversation) guarded(ctx context.Context, r shim.Request, begun func()) (more bool, err error) {
	switch r.Op {
	case shim.OpEvents, shim.OpStop, shim.OpUpgrade:
		begun()
	default:
		c.pod.still.RLock()
		defer c.pod.still.RUnlock()
		begun()
	}
	return c.answer(ctx, r)
}

// answer does what a request asks for; more is false when the connection was
// used up by it.
func (c *conversation) answer(ctx context.Context, r shim.Request) (more bool, err error) {
	if r.Version != shim.Version {
		return true, c.refuse(shim.Errorf(shim.CodeUnsupported, "protocol version %d is not spoken here, only %d", r.Version, shim.Version))
	}
	switch r.Op {
	case shim.OpEvents:
		return false, serveBody(c, r, c.events(ctx))
	case shim.OpExec:
		return false, serveBody(c, r, c.exec(ctx))
	case shim.OpAttach:
		return false, serveBody(c, r, c.attach(ctx))
	case shim.OpStop: // may take long; a client that goes away ends the wait
		waiting, cancel := context.WithCancel(ctx)
		defer cancel()
		go c.watchPeer(waiting, cancel)
		return false, respond(c, r, func(b shim.StopRequest) (any, error) { return c.pod.stop(waiting, b) })
	case shim.OpUpgrade:
		return false, serveBody(c, r, c.upgrade)
	case shim.OpShutdown:
		return false, c.end()
	}
	return true, c.simple(r)
}

func (c *conversation) simple(r shim.Request) error {
	p := c.pod
	switch r.Op {
	case shim.OpHello:
		return c.reply(p.hello, nil)
	case shim.OpSandbox:
		return respond(c, r, func(b shim.Sandbox) (any, error) { return p.makeSandbox(b) })
	case shim.OpStart:
		return respond(c, r, func(b shim.StartRequest) (any, error) { return p.start(b) })
	case shim.OpSignal:
		return respond(c, r, func(b shim.SignalRequest) (any, error) { return nil, p.signal(b) })
	case shim.OpRemove:
		return respond(c, r, func(b shim.ContainerRequest) (any, error) { return nil, p.forget(b.ID) })
	case shim.OpState:
		return c.reply(p.snapshot(), nil)
	case shim.OpStats:
		stats, err := p.stats()
		return c.reply(stats, err)
	case shim.OpUpdate:
		return respond(c, r, func(b shim.UpdateRequest) (any, error) { return nil, p.update(b) })
	case shim.OpReopenLogs:
		return respond(c, r, func(b shim.ContainerRequest) (any, error) { return nil, p.reopenLogs(b.ID) })
	case shim.OpPutRecord:
		return respond(c, r, func(b shim.Record) (any, error) { return nil, p.putRecord(b) })
	case shim.OpGetRecord:
		record, err := p.getRecord()
		return c.reply(record, err)
	}
	return c.refuse(shim.Errorf(shim.CodeUnsupported, "operation %q is not known here", r.Op))
}

// respond decodes the body, does the work and sends the answer.
func respond[T any](c *conversation, r shim.Request, do func(T) (any, error)) error {
	return serveBody(c, r, func(body T) error {
		out, err := do(body)
		return c.reply(out, err)
	})
}

func serveBody[T any](c *conversation, r shim.Request, do func(T) error) error {
	var body T
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return c.refuse(shim.Errorf(shim.CodeInvalid, "decode %s: %v", r.Op, err))
	}
	return do(body)
}

func (c *conversation) refuse(err error) error { return c.reply(nil, err) }

func (c *conversation) reply(body any, err error) error {
	var response shim.Response
	if err != nil {
		var refusal *shim.Error
		if !errors.As(err, &refusal) {
			refusal = &shim.Error{Code: shim.CodeInternal, Message: err.Error()}
			if !errors.Is(err, context.Canceled) { // the client went away
				c.log.Error("request failed", "err", err)
			}
		}
		response.Error = refusal
	}
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		response.Body = data
	}
	return c.out.WriteJSON(shim.FrameMessage, response)
}

// watchPeer cancels when the client closes the connection. Nothing else is
// read from it any more.
func (c *conversation) watchPeer(ctx context.Context, cancel context.CancelFunc) {
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.conn.SetReadDeadline(aLongTimeAgo) })
	defer stop()
	for {
		if _, _, err := shim.ReadFrame(c.conn, nil); err != nil {
			return
		}
	}
}
