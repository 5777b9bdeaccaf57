package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"writ/state"
)

// Worlds is where the server reads the cluster.
type Worlds interface {
	World() *state.World
	Changed(after state.Revision) <-chan struct{}
}

// Events is where the server reads what is told to people.
type Events interface {
	// Told gives the events of a namespace, or of all, that were told after the one with a number, and
	// the number of the last one of all namespaces, from which a watch goes on.
	Told(namespace string, after uint64) (events []state.Event, last uint64)
	// Changed is closed once an event was told after the one with a number.
	Changed(after uint64) <-chan struct{}
}

// Containers is the node's runtime. Errors are shown to the person as they are.
type Containers interface {
	Logs(ctx context.Context, q LogQuery, out io.Writer) error
	// Exec runs a command in a container and gives its exit code.
	Exec(ctx context.Context, q ExecQuery, io ExecStreams) (int, error)
}

// Daemon is what the server asks of the daemon itself.
type Daemon interface {
	// Facts is what the daemon knows beside the World.
	Facts() Facts
	// Down stops every pod gracefully and then the daemon; with purge nothing is left on the node.
	// It returns when the pods are gone; progress goes to out, a line each.
	Down(ctx context.Context, purge bool, out io.Writer) error
	// Sync looks at the repository now.
	Sync(ctx context.Context) error
	// History is what became of the last commits, newest first; 0 is all of them.
	History(limit int) []state.Progress
	// Superseded gives the newest commit where a commit, or the beginning of its hash, can no longer be
	// adopted because of it; else it is empty.
	Superseded(ctx context.Context, commit string) string
	// TokenKeys and TokenIssuer are JSON documents by which others verify the tokens of ServiceAccounts.
	TokenKeys() ([]byte, error)
	TokenIssuer() ([]byte, error)
}

// Server answers on the socket.
type Server struct {
	worlds     Worlds
	events     Events
	containers Containers
	daemon     Daemon
	images     Images // nil where it answers nothing about them
	access     Access // nil where it gives out none
	log        *slog.Logger
	ending     sync.WaitGroup // of `writ down`
}

// Wait waits until every `writ down` on its way has told its end.
func (s *Server) Wait() { s.ending.Wait() }

// NewServer makes a server; nothing listens before Serve.
func NewServer(worlds Worlds, events Events, containers Containers, daemon Daemon, log *slog.Logger) *Server {
	return &Server{worlds: worlds, events: events, containers: containers, daemon: daemon, log: log.With("component", "control")}
}

// Listen opens the socket with mode 0600 in a folder with mode 0700. A socket left behind by a daemon
// that is gone is replaced; one that answers is an error.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("listen on %s: another daemon answers there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	old := unix.Umask(0o177)
	l, err := net.Listen("unix", path)
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, nil
}

// Serve answers until ctx ends. It owns l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil { // the end of `writ down` is still on its way to whoever asked
			server.Close()
		}
	})
	defer func() {
		if !stop() {
			<-ended
		}
	}()
	if err := server.Serve(ownPeers{l}); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/events", s.listEvents)
	mux.HandleFunc("GET /v1/history", s.history)
	mux.HandleFunc("GET /v1/tree", s.tree)
	mux.HandleFunc("GET /v1/rollout", s.rollout)
	mux.HandleFunc("GET /v1/pods", s.pods)
	mux.HandleFunc("GET /v1/logs", s.logs)
	mux.HandleFunc("GET /v1/exec", s.exec)
	mux.HandleFunc("GET "+PathJWKS, s.jwks)
	mux.HandleFunc("GET "+PathDiscovery, s.discovery)
	mux.HandleFunc("POST "+pathKubeconfig, s.kubeconfig)
	mux.HandleFunc("POST /v1/down", s.down)
	mux.HandleFunc("POST /v1/sync", s.sync)
	s.imageRoutes(mux)
	return mux
}

// ownPeers accepts connections of root and of the daemon's own user only, whatever the file's mode.
type ownPeers struct{ net.Listener }

func (l ownPeers) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(c); err == nil && (uid == 0 || int(uid) == os.Geteuid()) {
			return c, nil
		}
		c.Close()
	}
}

func peerUID(c net.Conn) (uint32, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return cred.Uid, nil
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the reader has gone
	}
}

func refuse(w http.ResponseWriter, code int, err error) {
	http.Error(w, err.Error(), code)
}
