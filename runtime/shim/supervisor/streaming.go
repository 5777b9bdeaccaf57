package supervisor

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"writ/runtime/shim"
	"writ/runtime/shim/crilog"
)

var aLongTimeAgo = time.Unix(1, 0)

// events sends what happened and then what happens.
func (c *conversation) events(ctx context.Context) func(shim.EventsRequest) error {
	return func(r shim.EventsRequest) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if err := c.reply(struct{}{}, nil); err != nil {
			return err
		}
		go c.watchPeer(ctx, cancel)
		synced := false
		for after := r.After; ; {
			events, newest, changed := c.pod.eventsAfter(after)
			for _, e := range events {
				if err := c.out.WriteJSON(shim.FrameMessage, e); err != nil {
					return err
				}
			}
			after = max(after, newest)
			if !synced {
				synced = true
				sync := shim.Event{Seq: newest, Kind: shim.EventSync, Time: time.Now().UTC()}
				if err := c.out.WriteJSON(shim.FrameMessage, sync); err != nil {
					return err
				}
			}
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
		}
	}
}

// exec runs a process and streams to and from it.
func (c *conversation) exec(ctx context.Context) func(shim.ExecRequest) error {
	return func(r shim.ExecRequest) error {
		target, done, err := c.pod.use(r.ID)
		if err != nil {
			return c.refuse(err)
		}
		defer done()
		s, err := target.execWithin(r, startLimit)
		if err != nil {
			return c.refuse(err)
		}
		defer s.close()
		if err := c.reply(struct{}{}, nil); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go c.receive(ctx, cancel, s.stdin, s.tty, func() { closeIfAny(s.stdin) })
		timeout := time.Duration(r.TimeoutMillis) * time.Millisecond
		result := s.wait(ctx, timeout, c.out.Stream(shim.FrameStdout), c.out.Stream(shim.FrameStderr))
		return c.out.WriteJSON(shim.FrameExit, result)
	}
}

func closeIfAny(c io.Closer) {
	if c != nil {
		c.Close()
	}
}

// receive takes what the client sends until it is gone, which cancels.
func (c *conversation) receive(ctx context.Context, cancel context.CancelFunc, stdin io.Writer, tty *terminal, eof func()) {
	defer cancel()
	input := typist(stdin, eof)
	defer input.abandon()
	buf := make([]byte, shim.MaxChunk)
	for {
		kind, payload, err := shim.ReadFrame(c.conn, buf)
		if err != nil {
			return
		}
		switch kind {
		case shim.FrameStdin:
			if !input.pass(ctx, payload, c.hungUp) {
				return
			}
		case shim.FrameResize:
			var size shim.Size
			if tty != nil && json.Unmarshal(payload, &size) == nil {
				_ = tty.resize(size)
			}
		}
	}
}

// attach streams a running container's output from now on, and to its input.
func (c *conversation) attach(ctx context.Context) func(shim.AttachRequest) error {
	return func(r shim.AttachRequest) error {
		target, done, err := c.pod.use(r.ID)
		if err != nil {
			return c.refuse(err)
		}
		stdin, eof, err := target.attachStdin(r.Stdin)
		if err != nil {
			done()
			return c.refuse(err)
		}
		tty := target.terminal
		feed := target.output.attach()
		done() // the output closes the feed when the container ends
		defer target.output.detach(feed)
		if err := c.reply(struct{}{}, nil); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer eof()
		go c.receive(ctx, cancel, stdin, tty, eof)
		return c.follow(ctx, target, feed)
	}
}

// attachStdin gives a client the container's standard input.
func (c *container) attachStdin(wanted bool) (io.Writer, func(), error) {
	switch {
	case !wanted:
		return nil, func() {}, nil
	case c.terminal != nil:
		return c.terminal, func() {}, nil
	case c.stdin != nil:
		return c.stdin, c.stdin.end, nil
	}
	return nil, nil, shim.Errorf(shim.CodeConflict, "container %q has no standard input", c.id)
}

func (c *conversation) follow(ctx context.Context, target *container, feed *tap) error {
	kinds := map[crilog.Stream]shim.FrameKind{crilog.Stdout: shim.FrameStdout, crilog.Stderr: shim.FrameStderr}
	for {
		select {
		case <-ctx.Done():
			return nil
		case chunk, ok := <-feed.chunks:
			if !ok {
				return c.out.WriteJSON(shim.FrameExit, target.attachResult(ctx, feed))
			}
			if _, err := c.out.Stream(kinds[chunk.stream]).Write(chunk.data); err != nil {
				return err
			}
		}
	}
}

// attachResult waits for the end of the container, which the end of its output
// comes shortly before.
func (c *container) attachResult(ctx context.Context, feed *tap) shim.ExecResult {
	if feed.cut {
		return shim.ExecResult{Error: shim.Errorf(shim.CodeInternal, "the output was not read fast enough")}
	}
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	c.pod.mu.Lock()
	defer c.pod.mu.Unlock()
	return shim.ExecResult{ExitCode: c.state.ExitCode, Signal: c.state.Signal}
}
