package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// MaxFrame bounds the two parts of a frame together, in bytes.
const MaxFrame = 64 << 20

// Conn is one end of a conversation. It is for one goroutine at a time.
type Conn struct {
	r *bufio.Reader
	w *bufio.Writer
}

// NewConn speaks over two byte streams, which the caller closes.
func NewConn(r io.Reader, w io.Writer) *Conn {
	return &Conn{bufio.NewReaderSize(r, 64<<10), bufio.NewWriterSize(w, 64<<10)}
}

// Send writes a message and the bytes that go with it: the content of a file in an Answer.
func (c *Conn) Send(m Message, body []byte) error {
	head, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if len(head)+len(body) > MaxFrame {
		return fmt.Errorf("send: %d MiB are more than the %d MiB of a frame", (len(head)+len(body))>>20, MaxFrame>>20)
	}
	var sizes [8]byte
	binary.BigEndian.PutUint32(sizes[:4], uint32(len(head)))
	binary.BigEndian.PutUint32(sizes[4:], uint32(len(body)))
	for _, part := range [][]byte{sizes[:], head, body} {
		if _, err := c.w.Write(part); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	if err := c.w.Flush(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// Receive reads the next message. The body belongs to the caller. The error is io.EOF when the other
// end is gone between two frames.
func (c *Conn) Receive() (Message, []byte, error) {
	var m Message
	var sizes [8]byte
	if _, err := io.ReadFull(c.r, sizes[:]); err != nil {
		if err == io.EOF {
			return m, nil, err
		}
		return m, nil, fmt.Errorf("receive: %w", err)
	}
	head, body := binary.BigEndian.Uint32(sizes[:4]), binary.BigEndian.Uint32(sizes[4:])
	if uint64(head)+uint64(body) > MaxFrame {
		return m, nil, fmt.Errorf("receive: a frame of %d bytes is too large", uint64(head)+uint64(body))
	}
	data := make([]byte, head+body)
	if _, err := io.ReadFull(c.r, data); err != nil {
		return m, nil, fmt.Errorf("receive: %w", err)
	}
	if err := json.Unmarshal(data[:head], &m); err != nil {
		return m, nil, fmt.Errorf("receive: %w", err)
	}
	return m, data[head:], nil
}
