package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// Client speaks to a daemon over its socket.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a client of the socket at path; nothing is connected yet.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}
}

// Get decodes the answer of a path into v.
func (c *Client) Get(ctx context.Context, path string, query url.Values, v any) error {
	body, err := c.Stream(ctx, http.MethodGet, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := decode(body, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func decode(r io.Reader, v any) error { return json.NewDecoder(r).Decode(v) }

// Stream gives the body of an answer; the caller closes it. Its end is an error where the daemon could
// not go on.
func (c *Client) Stream(ctx context.Context, method, path string, query url.Values) (io.ReadCloser, error) {
	return c.request(ctx, method, path, query, nil)
}

// request is Stream with a body.
func (c *Client) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://writ"+path+"?"+query.Encode(), body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return nil, errors.New(strings.TrimSpace(string(text)))
	}
	return answer{resp.Body, resp}, nil
}

// troubleTrailer comes behind an answer that was cut short, and says why.
const troubleTrailer = "Writ-Trouble"

// answer is a body whose end is an error where the server says so.
type answer struct {
	io.ReadCloser
	resp *http.Response
}

func (a answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		if text := a.resp.Trailer.Get(troubleTrailer); text != "" {
			err = errors.New(text)
		}
	}
	return n, err
}

func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon answers on %s: is `writ up` running, and with the same --run-dir?", c.path)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s belongs to root: run this command as root", c.path)
	}
	return err
}

// Exec runs a command and copies its streams. It returns the exit code. The command is killed if ctx ends
// before it; Resize is to be closed by the caller.
func (c *Client) Exec(ctx context.Context, q ExecQuery, s ExecStreams) (code int, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = ctx.Err() // the connection was closed because of that
		}
	}()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.path)
	if err != nil {
		return 0, c.explain(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	query, err := json.Marshal(q)
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(conn, "GET /v1/exec HTTP/1.1\r\nHost: writ\r\nConnection: Upgrade\r\nUpgrade: writ-exec\r\nWrit-Exec: %s\r\n\r\n", query); err != nil {
		return 0, fmt.Errorf("exec: %w", err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, fmt.Errorf("exec: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return 0, errors.New(strings.TrimSpace(string(text)))
	}
	out := &frames{w: conn}
	go send(out, s.Stdin) // ends with the connection or with its input, whatever is first
	if s.Resize != nil {
		go sendSizes(out, s.Resize)
	}
	return await(in, s)
}

// send sends standard input and its end. Whether the connection is there, await finds out.
func send(out *frames, stdin io.Reader) {
	if stdin != nil {
		if _, err := io.Copy(framed{out, frameStdin}, stdin); err != nil {
			return
		}
	}
	_ = out.send(frameStdinEnd, nil)
}

func sendSizes(out *frames, sizes <-chan Size) {
	for size := range sizes {
		data, err := json.Marshal(size)
		if err != nil || out.send(frameResize, data) != nil {
			return
		}
	}
}

func await(in io.Reader, s ExecStreams) (int, error) {
	for {
		kind, data, err := receive(in)
		if err != nil {
			return 0, fmt.Errorf("exec: the daemon hung up: %w", err)
		}
		switch kind {
		case frameStdout:
			_, err = s.Stdout.Write(data)
		case frameStderr:
			_, err = s.Stderr.Write(data)
		case frameExit:
			var e exit
			if err := json.Unmarshal(data, &e); err != nil {
				return 0, fmt.Errorf("exec: %w", err)
			}
			if e.Error != "" {
				return e.Code, errors.New(e.Error)
			}
			return e.Code, nil
		}
		if err != nil {
			return 0, fmt.Errorf("exec: %w", err)
		}
	}
}
