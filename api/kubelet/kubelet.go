package kubelet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"writ/api/control"
)

// LogQuery is which part of a container's log is wanted.
type LogQuery struct {
	Namespace, Pod, Container    string
	Follow, Previous, Timestamps bool
	Tail                         int // last lines, negative for all
	Since                        time.Time
	LimitBytes                   int64 // 0: no limit
}

// ExecQuery is what runs where. With Attach nothing is run: the streams are those of the container itself.
type ExecQuery struct {
	Namespace, Pod, Container string
	Command                   []string
	Terminal, Attach          bool
}

// Size of a terminal in characters.
type Size = control.Size

// Streams are those of a command. Those that are not wanted are nil.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Resize         <-chan Size
}

// Containers are those of this node. Errors are shown to whoever asked as they are.
type Containers interface {
	Logs(ctx context.Context, q LogQuery, out io.Writer) error
	// Exec gives the exit code.
	Exec(ctx context.Context, q ExecQuery, s Streams) (int, error)
	// Dial connects to a port of a pod's own loopback.
	Dial(ctx context.Context, namespace, pod string, port uint16) (net.Conn, error)
}

// Times of streams: until a client has opened those that it announced, and until one that nothing happens on ends.
const (
	openTime = 30 * time.Second
	idleTime = 4 * time.Hour
)

// Handler answers.
func Handler(c Containers) http.Handler {
	h := &handler{c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", h.logs)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", h.exec)
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", h.attach)
	mux.HandleFunc("/portForward/{namespace}/{pod}", h.forward)
	mux.HandleFunc("/portForward/{namespace}/{pod}/{uid}", h.forward)
	return mux
}

type handler struct{ containers Containers }

func (h *handler) logs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	q := LogQuery{
		Namespace: r.PathValue("namespace"), Pod: r.PathValue("pod"), Container: r.PathValue("container"), Tail: -1,
		Follow: query.Get("follow") == "true", Previous: query.Get("previous") == "true", Timestamps: query.Get("timestamps") == "true",
	}
	if err := q.bounds(query.Get); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out := &flushed{w: w}
	if err := h.containers.Logs(r.Context(), q, out); err != nil && r.Context().Err() == nil {
		if !out.began {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(out, "\n%v\n", err)
	}
}

// bounds reads what limits a log. The API server has checked it already.
func (q *LogQuery) bounds(get func(string) string) error {
	number := func(name string, into func(int64)) error {
		text := get(name)
		if text == "" {
			return nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("%s=%q is no number", name, text)
		}
		into(n)
		return nil
	}
	const most = 1 << 30
	if err := number("tailLines", func(n int64) { q.Tail = int(min(n, most)) }); err != nil {
		return err
	}
	if err := number("limitBytes", func(n int64) { q.LimitBytes = n }); err != nil {
		return err
	}
	if err := number("sinceSeconds", func(n int64) { q.Since = time.Now().Add(-time.Duration(min(n, most)) * time.Second) }); err != nil {
		return err
	}
	if text := get("sinceTime"); text != "" {
		since, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return fmt.Errorf("sinceTime=%q is no time", text)
		}
		q.Since = since
	}
	return nil
}

// flushed sends what is written at once.
type flushed struct {
	w     http.ResponseWriter
	began bool
}

func (f *flushed) Write(p []byte) (int, error) {
	if !f.began {
		f.w.Header().Set("Content-Type", "text/plain")
		f.began = true
	}
	n, err := f.w.Write(p)
	if err == nil {
		err = http.NewResponseController(f.w).Flush()
	}
	return n, err
}

func (h *handler) exec(w http.ResponseWriter, r *http.Request) {
	o, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, h.in(r), r.PathValue("pod"), "", r.PathValue("container"), r.URL.Query()["command"], o, idleTime, openTime, remotecommand.SupportedStreamingProtocols)
}

func (h *handler) attach(w http.ResponseWriter, r *http.Request) {
	o, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeAttach(w, r, h.in(r), r.PathValue("pod"), "", r.PathValue("container"), o, idleTime, openTime, remotecommand.SupportedStreamingProtocols)
}

func (h *handler) forward(w http.ResponseWriter, r *http.Request) {
	o, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, h.in(r), r.PathValue("pod"), "", o, idleTime, openTime, portforward.SupportedProtocols)
}

// in are the containers of the namespace that is asked for.
func (h *handler) in(r *http.Request) *namespaced { return &namespaced{h, r.PathValue("namespace")} }

type namespaced struct {
	*handler
	namespace string
}

// ended is a command that ended with a code.
type ended int

func (e ended) Error() string   { return "command terminated with exit code " + strconv.Itoa(int(e)) }
func (e ended) String() string  { return e.Error() }
func (e ended) Exited() bool    { return true }
func (e ended) ExitStatus() int { return int(e) }

var _ utilexec.ExitError = ended(0)

// ExecInContainer is remotecommand.Executor's.
func (n *namespaced) ExecInContainer(ctx context.Context, pod, _, container string, command []string, in io.Reader, out, errs io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	return n.run(ctx, ExecQuery{Namespace: n.namespace, Pod: pod, Container: container, Command: command, Terminal: tty}, in, out, errs, resize)
}

// AttachContainer is remotecommand.Attacher's.
func (n *namespaced) AttachContainer(ctx context.Context, pod, _, container string, in io.Reader, out, errs io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	return n.run(ctx, ExecQuery{Namespace: n.namespace, Pod: pod, Container: container, Terminal: tty, Attach: true}, in, out, errs, resize)
}

func (n *namespaced) run(ctx context.Context, q ExecQuery, in io.Reader, out, errs io.WriteCloser, resize <-chan remotecommand.TerminalSize) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := Streams{Resize: sizes(ctx, resize)}
	if in != nil {
		s.Stdin = in
	}
	if out != nil {
		s.Stdout = out
	}
	if errs != nil {
		s.Stderr = errs
	}
	code, err := n.containers.Exec(ctx, q, s)
	if err != nil {
		return err
	}
	if code != 0 && !q.Attach {
		return ended(code)
	}
	return nil
}

// sizes passes a terminal's sizes on until ctx ends.
func sizes(ctx context.Context, from <-chan remotecommand.TerminalSize) <-chan Size {
	if from == nil {
		return nil
	}
	to := make(chan Size)
	go func() {
		defer close(to)
		for {
			select {
			case size, ok := <-from:
				if !ok {
					return
				}
				select {
				case to <- Size{Width: size.Width, Height: size.Height}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}

// PortForward is portforward.PortForwarder's. Either side may end what it sends and go on reading.
func (n *namespaced) PortForward(ctx context.Context, pod, _ string, port int32, stream io.ReadWriteCloser) error {
	if port < 1 || port > 65535 {
		return fmt.Errorf("port %d is none", port)
	}
	conn, err := n.containers.Dial(ctx, n.namespace, pod, uint16(port))
	if err != nil {
		return fmt.Errorf("forward port %d of pod %s/%s: %w", port, n.namespace, pod, err)
	}
	defer conn.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.Copy(conn, stream)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	received := make(chan error, 1)
	go func() {
		_, err := io.Copy(stream, conn)
		received <- err
	}()
	select {
	case err = <-received: // the pod has said all; what the client still sends finds nobody
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil && strings.Contains(err.Error(), "reset by peer") {
		err = nil // as far as a client can know, the end
	}
	return err
}
