package control

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// LogQuery says what `writ logs` reads. Tail below zero is everything.
type LogQuery struct {
	Namespace, Pod, Container    string
	Follow, Previous, Timestamps bool
	Tail                         int
	Since                        time.Duration
}

// ExecQuery says what `writ exec` runs. An empty Container is the pod's only or default one. With Attach nothing
// is run: the streams are those of the container itself, its input only if Input is set.
type ExecQuery struct {
	Namespace, Pod, Container string
	Command                   []string
	Terminal                  bool
	Attach, Input             bool `json:",omitempty"`
}

// Size of a terminal in characters.
type Size = struct {
	Width  uint16 `json:"width"`
	Height uint16 `json:"height"`
}

// ExecStreams are a command's streams. Resize is closed with the connection.
type ExecStreams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Resize         <-chan Size
}

// What travels on an exec connection, in both directions: a type, a length and that many bytes.
const (
	frameStdin byte = iota
	frameStdinEnd
	frameStdout
	frameStderr
	frameResize
	frameExit
)

// maxFrame bounds what one frame may hold.
const maxFrame = 1 << 20

type exit struct {
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"`
}

// frames writes frames from several goroutines.
type frames struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frames) send(kind byte, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	head := [5]byte{kind}
	binary.BigEndian.PutUint32(head[1:], uint32(len(data)))
	_, err := f.w.Write(append(head[:], data...))
	return err
}

func receive(r io.Reader) (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("read exec stream: a frame of %d bytes", n)
	}
	data := make([]byte, n)
	_, err := io.ReadFull(r, data)
	return head[0], data, err
}

// framed is an io.Writer of one kind of frame.
type framed struct {
	to   *frames
	kind byte
}

func (f framed) Write(p []byte) (int, error) {
	for at := 0; at < len(p); at += maxFrame {
		if err := f.to.send(f.kind, p[at:min(len(p), at+maxFrame)]); err != nil {
			return at, err
		}
	}
	return len(p), nil
}

// exec takes the connection over and runs one command on it.
func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	var q ExecQuery
	if err := json.Unmarshal([]byte(r.Header.Get("Writ-Exec")), &q); err != nil || len(q.Command) == 0 && !q.Attach {
		refuse(w, http.StatusBadRequest, errors.New("exec needs a command"))
		return
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		refuse(w, http.StatusInternalServerError, errors.New("exec: the connection cannot be taken over"))
		return
	}
	conn, buffered, err := hijacker.Hijack()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: writ-exec\r\n\r\n"); err != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := &frames{w: conn}
	stdin, resize, done := feed(buffered, cancel)
	code, err := s.containers.Exec(ctx, q, ExecStreams{
		Stdin: stdin, Stdout: framed{out, frameStdout}, Stderr: framed{out, frameStderr}, Resize: resize,
	})
	stdin.Close() // what the command left unread is of no use to anybody
	result := exit{Code: code}
	if err != nil {
		result.Error = err.Error()
	}
	data, err := json.Marshal(result)
	if err == nil {
		err = out.send(frameExit, data)
	}
	if err != nil {
		s.log.Debug("exec result not delivered", "err", err)
	}
	conn.Close()
	<-done
}

// feed splits what the client sends into standard input and sizes. It ends with the connection and then
// calls gone: nobody waits for the command any more.
func feed(r io.Reader, gone func()) (stdin io.ReadCloser, resize <-chan Size, done <-chan struct{}) {
	in, out := io.Pipe()
	sizes, ended := make(chan Size, 1), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(sizes)
		defer gone()
		for {
			kind, data, err := receive(r)
			if err != nil {
				out.CloseWithError(io.EOF)
				in.Close()
				return
			}
			switch kind {
			case frameStdin:
				if _, err := out.Write(data); err != nil {
					continue // the command does not read any more
				}
			case frameStdinEnd:
				out.Close()
			case frameResize:
				var size Size
				if json.Unmarshal(data, &size) == nil {
					latest(sizes, size)
				}
			}
		}
	}()
	return in, sizes, ended
}

// latest replaces what was not read yet.
func latest(sizes chan Size, size Size) {
	select {
	case <-sizes:
	default:
	}
	sizes <- size
}
