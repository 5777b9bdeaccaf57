package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"reflect"
	"testing"
)

// A child that was taken over may send anything: it is an error or a message that can be sent again.
func FuzzReceive(f *testing.F) {
	frame := func(head, body string) []byte {
		var b []byte
		b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
		return append(append(b, head...), body...)
	}
	f.Add(frame(`{"ask":{"op":"read","path":"a"}}`, ""))
	f.Add(frame(`{"answer":{"kind":"file"}}`, "content"))
	f.Add(frame(`{"result":{"documents":[{"text":"a"}]}}`, ""))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(frame(`{`, "")[:9])
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 8 && uint64(binary.BigEndian.Uint32(data))+uint64(binary.BigEndian.Uint32(data[4:])) > 1<<20 && len(data) < 1<<20 {
			data = data[:8] // does not fill megabytes for each of a million tries
			if binary.BigEndian.Uint32(data) < MaxFrame {
				return
			}
		}
		c := NewConn(bytes.NewReader(data), io.Discard)
		for {
			m, body, err := c.Receive()
			if err != nil {
				return
			}
			var again bytes.Buffer
			if err := NewConn(nil, &again).Send(m, body); err != nil {
				t.Fatalf("send %+v: %v", m, err)
			}
			m2, body2, err := NewConn(&again, nil).Receive()
			if err != nil || !bytes.Equal(body, body2) || reflect.TypeOf(m2) != reflect.TypeOf(m) {
				t.Errorf("%+v came back as %+v, %v", m, m2, err)
			}
		}
	})
}
