package shim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// Streams are the ends that an exec or attach is connected to; any may be nil.
// A Stdin that blocks holds one goroutine until its Read returns, so give one
// that ends with the caller's own connection.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Resize         <-chan Size
}

// Exec runs a process in a container and returns when it has ended and all its
// output was written. ErrStart means that it could not be started (the message
// names the command), ErrConflict that the container does not run. If ctx ends
// first the process is killed. r.Stdin is set if s.Stdin is given.
func (c *Client) Exec(ctx context.Context, r ExecRequest, s Streams) (ExecResult, error) {
	r.Stdin = s.Stdin != nil
	return c.stream(ctx, OpExec, r, s)
}

// Attach follows the output of a running container and sends to its standard
// input; it returns when the container exited.
func (c *Client) Attach(ctx context.Context, id string, s Streams) (ExecResult, error) {
	return c.stream(ctx, OpAttach, AttachRequest{ID: id, Stdin: s.Stdin != nil}, s)
}

func (c *Client) stream(ctx context.Context, op Op, body any, s Streams) (ExecResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return ExecResult{}, err
	}
	defer conn.close()
	if _, err := conn.request(op, body); err != nil {
		return ExecResult{}, conn.reason(err)
	}
	if s.Stdin != nil {
		go conn.sendStdin(s.Stdin)
	}
	if s.Resize != nil {
		go conn.sendSizes(ctx, s.Resize)
	}
	result, err := conn.receive(s)
	if err != nil {
		return result, conn.reason(err)
	}
	if result.Error != nil {
		return result, result.Error
	}
	return result, nil
}

// sendStdin ends with the reader or the connection. A reader that fails counts
// as ended; a write that fails is seen by receive as well.
func (c *connection) sendStdin(r io.Reader) {
	_, _ = io.CopyBuffer(c.frames.Stream(FrameStdin), onlyReader{r}, make([]byte, MaxChunk))
	_ = c.frames.Write(FrameStdin, nil)
}

// onlyReader hides WriteTo, which would bypass the buffer.
type onlyReader struct{ io.Reader }

func (c *connection) sendSizes(ctx context.Context, sizes <-chan Size) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok || c.frames.WriteJSON(FrameResize, size) != nil {
				return
			}
		}
	}
}

func (c *connection) receive(s Streams) (ExecResult, error) {
	var result ExecResult
	buf := make([]byte, MaxChunk)
	for {
		kind, payload, err := ReadFrame(c.Conn, buf)
		if err != nil {
			return result, fmt.Errorf("read stream: %w", err)
		}
		var to io.Writer
		switch kind {
		case FrameStdout:
			to = s.Stdout
		case FrameStderr:
			to = s.Stderr
		case FrameExit:
			if err := json.Unmarshal(payload, &result); err != nil {
				return result, fmt.Errorf("decode exit: %w", err)
			}
			return result, nil
		}
		if to == nil {
			continue
		}
		if _, err := to.Write(payload); err != nil {
			return result, fmt.Errorf("write output: %w", err)
		}
	}
}
