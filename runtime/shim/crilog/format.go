package crilog

import (
	"bytes"
	"time"
)

// Stream is which output a line came from.
type Stream string

// The streams. A terminal has only Stdout.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// MaxLine is the longest text of one log line in bytes. A longer line of the
// container becomes fragments tagged P, the last one F.
const MaxLine = 16 << 10

// maxText is where Format stops taking more lines: short lines grow much.
const maxText = 64 << 10

// End says what Format does with a last line that has no newline yet.
type End int

// Keep leaves it to the caller, Cut writes it as a fragment (P), Finish writes
// it as a line (F) because nothing follows.
const (
	Keep End = iota
	Cut
	Finish
)

// Format appends the lines of data to dst as
//
//	2006-01-02T15:04:05.999999999Z stdout F text
//
// and returns how many bytes of data they stand for. It depends on nothing but
// its arguments: a fragment is followed by whatever the next call finds. It
// takes all it can of data but stops after about 64 KiB of text; call it again
// with the rest.
func Format(dst []byte, stream Stream, at time.Time, data []byte, end End) (text []byte, taken int) {
	head := at.UTC().AppendFormat(make([]byte, 0, 48), time.RFC3339Nano)
	head = append(head, ' ')
	head = append(head, stream...)
	head = append(head, ' ')
	for len(data) > 0 && len(dst) < maxText {
		line, tag, n := next(data, end)
		if n == 0 {
			break
		}
		dst = append(dst, head...)
		dst = append(dst, tag, ' ')
		dst = append(dst, line...)
		dst = append(dst, '\n')
		data = data[n:]
		taken += n
	}
	return dst, taken
}

// next cuts one line or fragment off data and says how many bytes it used.
func next(data []byte, end End) (line []byte, tag byte, n int) {
	window := data[:min(len(data), MaxLine+1)]
	if i := bytes.IndexByte(window, '\n'); i >= 0 {
		return data[:i], 'F', i + 1
	}
	switch {
	case len(data) > MaxLine:
		return data[:MaxLine], 'P', MaxLine
	case end == Cut:
		return data, 'P', len(data)
	case end == Finish:
		return data, 'F', len(data)
	}
	return nil, 0, 0
}
