package state

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The stored forms of this package are messages of tagged fields (protobuf's wire format). Fields are
// only ever added: an older reader passes over what it does not know, a newer one finds zero values.

func appendText(b []byte, n protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

// appendBlock writes bytes, also when there are none: a repeated element or a message that is there.
func appendBlock(b []byte, n protowire.Number, block []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), block)
}

func appendNumber(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func appendSigned(b []byte, n protowire.Number, v int64) []byte {
	return appendNumber(b, n, protowire.EncodeZigZag(v))
}

// appendTime writes nanoseconds; the zero time is left out. Zones are not kept.
func appendTime(b []byte, n protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return appendBlock(b, n, protowire.AppendVarint(protowire.AppendVarint(nil,
		protowire.EncodeZigZag(t.Unix())), uint64(t.Nanosecond())))
}

// field is one field of a message; of number and block the one that its type says is set.
type field struct {
	n      protowire.Number
	number uint64
	block  []byte
}

func (f field) text() string  { return string(f.block) }
func (f field) signed() int64 { return protowire.DecodeZigZag(f.number) }
func (f field) time() (time.Time, error) {
	seconds, n := protowire.ConsumeVarint(f.block)
	if n < 0 {
		return time.Time{}, protowire.ParseError(n)
	}
	nanos, m := protowire.ConsumeVarint(f.block[n:])
	if m < 0 {
		return time.Time{}, protowire.ParseError(m)
	}
	return time.Unix(protowire.DecodeZigZag(seconds), int64(nanos)).UTC(), nil
}

// eachField calls take for every field of a message, in order; the blocks are slices of data.
func eachField(data []byte, take func(field) error) error {
	for len(data) > 0 {
		num, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		f := field{n: num}
		switch typ {
		case protowire.VarintType:
			f.number, n = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			f.block, n = protowire.ConsumeBytes(data)
		default:
			n = protowire.ConsumeFieldValue(num, typ, data)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if err := take(f); err != nil {
			return fmt.Errorf("field %d: %w", num, err)
		}
	}
	return nil
}
