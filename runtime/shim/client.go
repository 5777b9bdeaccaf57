package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Client speaks to the shim of one pod. It holds no connection: each call
// makes its own, so calls may run at the same time, and a Client stays good
// over a replaced shim. Every call returns ErrNoShim if nothing listens or the
// shim ended before it answered (then Launch, and State tells what it had
// done), an *Error if the shim refused, and the context's error if that ended
// first. A Client that runs Events should be closed in the end.
type Client struct {
	dir     string
	outputs outputs
}

// New returns the client of the pod directory; it does not connect.
func New(dir string) *Client { return &Client{dir: dir} }

// Close lets go of the containers' output, see Events.
func (c *Client) Close() { c.outputs.close() }

// Dir is the pod directory.
func (c *Client) Dir() string { return c.dir }

// Hello asks who is there.
func (c *Client) Hello(ctx context.Context) (Hello, error) {
	return call[Hello](ctx, c, OpHello, nil)
}

// Sandbox makes what the pod's containers share. Repeating it is fine.
func (c *Client) Sandbox(ctx context.Context, s Sandbox) (SandboxState, error) {
	return call[SandboxState](ctx, c, OpSandbox, s)
}

// Start creates and starts a container. An error that is ErrStart means that
// its process could not be started: the container exists, exited, with
// ReasonStartError, exit code 128 and the error's text as its message. Any
// other error means that there is no such container.
func (c *Client) Start(ctx context.Context, r StartRequest) (Container, error) {
	return call[Container](ctx, c, OpStart, r)
}

// Signal sends a signal ("SIGHUP", "HUP", "1") to a container's first process.
func (c *Client) Signal(ctx context.Context, id, signal string) error {
	_, err := call[struct{}](ctx, c, OpSignal, SignalRequest{ID: id, Signal: signal})
	return err
}

// Stop ends a container and returns when it has exited. If ctx ends first the
// shim still does what was asked for.
func (c *Client) Stop(ctx context.Context, id string, grace time.Duration) (Container, error) {
	return call[Container](ctx, c, OpStop, StopRequest{ID: id, GraceMillis: grace.Milliseconds()})
}

// StopWith is Stop with a signal of its own instead of the container's.
func (c *Client) StopWith(ctx context.Context, id string, grace time.Duration, signal string) (Container, error) {
	return call[Container](ctx, c, OpStop, StopRequest{ID: id, GraceMillis: grace.Milliseconds(), Signal: signal})
}

// StopWaiting is Stop with a limit of its own for the end after the kill: then it is
// ErrTimeout and says which processes cannot be killed. The shim goes on trying.
func (c *Client) StopWaiting(ctx context.Context, id string, grace, wait time.Duration) (Container, error) {
	return call[Container](ctx, c, OpStop, StopRequest{ID: id, GraceMillis: grace.Milliseconds(), WaitMillis: wait.Milliseconds()})
}

// Remove forgets an exited container and deletes its files, but not its logs.
// Removing one that is not there is fine; a running one is ErrConflict.
func (c *Client) Remove(ctx context.Context, id string) error {
	_, err := call[struct{}](ctx, c, OpRemove, ContainerRequest{ID: id})
	return err
}

// State returns all that the shim knows.
func (c *Client) State(ctx context.Context) (PodState, error) {
	return call[PodState](ctx, c, OpState, nil)
}

// Stats returns what the pod and its running containers use.
func (c *Client) Stats(ctx context.Context) (PodStats, error) {
	return call[PodStats](ctx, c, OpStats, nil)
}

// Update changes limits while it runs; id "" is the pod's cgroup.
func (c *Client) Update(ctx context.Context, r UpdateRequest) error {
	_, err := call[struct{}](ctx, c, OpUpdate, r)
	return err
}

// ReopenLogs makes the shim open the log files anew by path; id "" means all.
func (c *Client) ReopenLogs(ctx context.Context, id string) error {
	_, err := call[struct{}](ctx, c, OpReopenLogs, ContainerRequest{ID: id})
	return err
}

// PutRecord keeps data beside the pod: on return it survives the shim and the
// daemon, but not a crash of the machine, after which nothing of the pod runs.
func (c *Client) PutRecord(ctx context.Context, data []byte) error {
	_, err := call[struct{}](ctx, c, OpPutRecord, Record{Data: data})
	return err
}

// GetRecord returns what PutRecord kept, nil if nothing was.
func (c *Client) GetRecord(ctx context.Context) ([]byte, error) {
	r, err := call[Record](ctx, c, OpGetRecord, nil)
	return r.Data, err
}

// Shutdown ends the shim and removes the pod's cgroup and namespaces; a
// container that is not exited is ErrConflict. It returns when the socket is
// gone. What else lies in the directory is left for Destroy.
func (c *Client) Shutdown(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, OpShutdown, nil)
	return err
}

// Events calls fn for every event after the sequence number, in order, first
// those that are past, then EventSync, then as they happen. It returns when
// ctx ends, fn fails or the connection breaks, always with an error.
//
// It also keeps the output of running containers open, two descriptors each,
// so that nothing they print is lost if the shim is killed and they end before
// the next one is there. That lasts until they exit, or until Close: so when a
// connection breaks, Launch, and go on with Events of the same Client.
func (c *Client) Events(ctx context.Context, after uint64, fn func(Event) error) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	if _, err := conn.request(OpEvents, EventsRequest{After: after}); err != nil {
		return conn.reason(err)
	}
	for {
		var event Event
		if err := conn.readJSON(&event); err != nil {
			return conn.reason(fmt.Errorf("read events: %w", err))
		}
		c.outputs.follow(c.dir, event)
		if err := fn(event); err != nil {
			return err
		}
	}
}

// limits are how long a shim may take to answer, also one that hangs: most is
// answered in a millisecond, a start has a limit of its own. A stop takes what its
// grace takes, and what streams has no end.
var limits = map[Op]time.Duration{
	OpHello: 10 * time.Second, OpState: 30 * time.Second, OpStats: 30 * time.Second, OpSandbox: time.Minute, OpStart: 3 * time.Minute,
	OpSignal: 10 * time.Second, OpRemove: time.Minute, OpUpdate: 30 * time.Second, OpReopenLogs: 30 * time.Second,
	OpPutRecord: time.Minute, OpGetRecord: time.Minute, OpUpgrade: time.Minute,
}

func call[T any](ctx context.Context, c *Client, op Op, body any) (T, error) {
	var out T
	if limit, ok := limits[op]; ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return out, err
	}
	defer conn.close()
	answer, refusal := conn.request(op, body)
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &out); err != nil {
			return out, fmt.Errorf("decode answer to %s: %w", op, err)
		}
	}
	if refusal != nil {
		return out, conn.reason(refusal)
	}
	return out, nil
}

// connection is one connection that ends with its context.
type connection struct {
	net.Conn
	ctx    context.Context
	frames *FrameWriter
	stop   func() bool
}

// dial connects through a descriptor of the directory, because the address of
// a unix socket is limited to 107 bytes (unix(7)) and directories are not.
func (c *Client) dial(ctx context.Context) (*connection, error) {
	dir, err := os.OpenFile(c.dir, unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_PATH, 0)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w in %s", ErrNoShim, c.dir)
		}
		return nil, fmt.Errorf("open pod directory: %w", err)
	}
	defer dir.Close()
	path := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), socketName)
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w in %s", ErrNoShim, c.dir)
	case err != nil:
		return nil, fmt.Errorf("connect to shim of %s: %w", c.dir, err)
	}
	return &connection{
		Conn:   conn,
		ctx:    ctx,
		frames: NewFrameWriter(conn),
		stop:   context.AfterFunc(ctx, func() { conn.Close() }),
	}, nil
}

func (c *connection) close() {
	c.stop()
	c.Conn.Close()
}

// reason says what an error of the connection comes from: the context, or a
// shim that ended.
func (c *connection) reason(err error) error {
	var refusal *Error
	if errors.As(err, &refusal) {
		return err
	}
	if ctxErr := c.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, broken) {
			return fmt.Errorf("%w any more: %w", ErrNoShim, err)
		}
	}
	return err
}

// request sends one request and returns the body of the answer, also beside a
// refusal.
func (c *connection) request(op Op, body any) (json.RawMessage, error) {
	request := Request{Version: Version, Op: op}
	if body != nil {
		var err error
		if request.Body, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode %s: %w", op, err)
		}
	}
	if err := c.frames.WriteJSON(FrameMessage, request); err != nil {
		return nil, fmt.Errorf("send %s: %w", op, err)
	}
	var response Response
	if err := c.readJSON(&response); err != nil {
		return nil, fmt.Errorf("read answer to %s: %w", op, err)
	}
	if response.Error != nil {
		return response.Body, response.Error
	}
	return response.Body, nil
}

func (c *connection) readJSON(v any) error {
	kind, payload, err := ReadFrame(c.Conn, nil)
	if err != nil {
		return err
	}
	if kind != FrameMessage {
		return fmt.Errorf("frame of kind %q where a message was expected", kind)
	}
	return json.Unmarshal(payload, v)
}
