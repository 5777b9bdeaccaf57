package shim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// A frame is one byte of kind, four bytes of big-endian length, and the
// payload. Every message of the protocol is one frame.

// FrameKind says what a frame's payload is.
type FrameKind byte

// The kinds. FrameMessage carries JSON (Request, Response, Event). The others
// occur after an accepted OpExec or OpAttach: the client sends FrameStdin (an
// empty one ends standard input) and FrameResize (Size), the shim sends
// FrameStdout, FrameStderr and last FrameExit (ExecResult). Unknown kinds are
// skipped.
const (
	FrameMessage FrameKind = 'M'
	FrameStdin   FrameKind = '0'
	FrameStdout  FrameKind = '1'
	FrameStderr  FrameKind = '2'
	FrameResize  FrameKind = 'R'
	FrameExit    FrameKind = 'X'
)

const (
	// MaxFrame is the largest payload that is read.
	MaxFrame = 16 << 20
	// MaxRecord is the largest Record, which grows by a third in JSON.
	MaxRecord = 8 << 20
	// MaxChunk is the largest payload of a stream frame that is sent.
	MaxChunk = 32 << 10

	headerSize = 5
)

// ReadFrame reads one frame into buf if it fits, else into a new slice.
func ReadFrame(r io.Reader, buf []byte) (FrameKind, []byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(header[1:])
	if size > MaxFrame {
		return 0, nil, fmt.Errorf("read frame: %d bytes, at most %d are allowed", size, MaxFrame)
	}
	if int(size) > cap(buf) {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if _, err := io.ReadFull(r, buf); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, fmt.Errorf("read frame: %w", err)
	}
	return FrameKind(header[0]), buf, nil
}

// FrameWriter writes whole frames; it may be used by several goroutines.
type FrameWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// NewFrameWriter writes to w.
func NewFrameWriter(w io.Writer) *FrameWriter { return &FrameWriter{w: w} }

// Write sends one frame.
func (f *FrameWriter) Write(kind FrameKind, payload []byte) error {
	if len(payload) > MaxFrame {
		return fmt.Errorf("write frame: %d bytes, at most %d are allowed", len(payload), MaxFrame)
	}
	out := make([]byte, headerSize+len(payload))
	out[0] = byte(kind)
	binary.BigEndian.PutUint32(out[1:headerSize], uint32(len(payload)))
	copy(out[headerSize:], payload)
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.w.Write(out)
	return err
}

// WriteJSON sends v as one frame.
func (f *FrameWriter) WriteJSON(kind FrameKind, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %T: %w", v, err)
	}
	return f.Write(kind, payload)
}

// Stream is an io.Writer whose writes become frames of one kind, at most
// MaxChunk bytes each.
func (f *FrameWriter) Stream(kind FrameKind) io.Writer { return stream{f, kind} }

type stream struct {
	f    *FrameWriter
	kind FrameKind
}

func (s stream) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		n := min(len(p)-sent, MaxChunk)
		if err := s.f.Write(s.kind, p[sent:sent+n]); err != nil {
			return sent, err
		}
		sent += n
	}
	return sent, nil
}
