package supervisor

import (
	"bytes"
	"context"
	"io"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// input passes a client's standard input on to a process. A process that does
// not read holds up its writer only, so that a client that hangs up meanwhile
// is noticed.
type input struct {
	chunks chan []byte // nil once the client has ended it
	left   chan struct{}
}

// hangUpPeriod is how often a client is looked at whose input nobody takes.
const hangUpPeriod = 200 * time.Millisecond

// typist starts the writer. It calls eof when the client has ended its input
// and all of it was written. to may be nil: then everything is dropped.
func typist(to io.Writer, eof func()) *input {
	i := &input{chunks: make(chan []byte), left: make(chan struct{})}
	go func(chunks <-chan []byte) {
		for {
			select {
			case <-i.left:
				return
			case chunk, ok := <-chunks:
				if !ok {
					eof()
					return
				}
				if to == nil {
					continue
				}
				if _, err := to.Write(chunk); err != nil {
					to = nil // the process does not read any more; it may go on
				}
			}
		}
	}(i.chunks)
	return i
}

// pass hands on one chunk; an empty one is the end. It reports false if the
// client is gone or ctx has ended before the chunk was taken.
func (i *input) pass(ctx context.Context, chunk []byte, gone func() bool) bool {
	if i.chunks == nil {
		return true
	}
	if len(chunk) == 0 {
		close(i.chunks)
		i.chunks = nil
		return true
	}
	chunk = bytes.Clone(chunk)
	tick := time.NewTicker(hangUpPeriod)
	defer tick.Stop()
	for {
		select {
		case i.chunks <- chunk:
			return true
		case <-ctx.Done():
			return false
		case <-tick.C:
			if gone() {
				return false
			}
		}
	}
}

// abandon ends the writer without an end of the input. One that waits for the
// process ends when that side is closed.
func (i *input) abandon() { close(i.left) }

// hungUp reports whether the client has closed the connection, whatever it
// sent before that is still to be read.
func (c *conversation) hungUp() bool {
	conn, ok := c.conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(set, 0)
		gone = err == nil && n > 0
	})
	return gone || err != nil
}
