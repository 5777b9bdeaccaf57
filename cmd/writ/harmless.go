package main

import (
	"bytes"
	"fmt"
	"io"
)

// harmless passes text and colours on to a terminal and shows every other order to it in caret notation:
// what a container prints must not move the cursor, set the title or type for whoever reads the log.
type harmless struct {
	out io.Writer
	// begun is the beginning of what may become a colour, or a control character of two bytes.
	begun []byte
}

// maxColour is how long "ESC [ 1;38;2;255;255;255 m" and its like get.
const maxColour = 32

func (h *harmless) Write(p []byte) (int, error) {
	var b bytes.Buffer
	for _, c := range p {
		h.next(&b, c)
	}
	if _, err := h.out.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (h *harmless) next(b *bytes.Buffer, c byte) {
	switch n := len(h.begun); {
	case n == 0 && (c == 0x1b || c == 0xc2 || c == '\r'):
		h.begun = append(h.begun, c)
	case n == 0:
		show(b, c)
	case h.begun[0] == '\r' && c == '\n': // the end of a line
		b.WriteByte(c)
		h.begun = h.begun[:0]
	case h.begun[0] == 0xc2 && c >= 0x80 && c < 0xa0: // U+0080 to U+009F
		fmt.Fprintf(b, `\x%02x`, c)
		h.begun = h.begun[:0]
	case h.begun[0] == 0xc2:
		b.WriteByte(0xc2)
		h.begun = h.begun[:0]
		h.next(b, c)
	case h.begun[0] == 0x1b && n == 1 && c == '[', n > 1 && n < maxColour && (c >= '0' && c <= '9' || c == ';' || c == ':'):
		h.begun = append(h.begun, c)
	case n > 1 && c == 'm':
		b.Write(append(h.begun, c))
		h.begun = h.begun[:0]
	default:
		for _, held := range h.begun {
			show(b, held)
		}
		h.begun = h.begun[:0]
		h.next(b, c)
	}
}

// show writes a byte, an ASCII control character but for tab and the end of a line as ^X.
func show(b *bytes.Buffer, c byte) {
	switch {
	case c == 0x7f:
		b.WriteString("^?")
	case c < 0x20 && c != '\n' && c != '\t':
		b.Write([]byte{'^', c ^ 0x40})
	default:
		b.WriteByte(c)
	}
}
