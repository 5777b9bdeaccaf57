package shim

import (
	"bytes"
	"testing"
)

// What another version, or something else, says on the socket is an error or a frame, never more memory
// than a frame may have.
func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("M\x00\x00\x00\x02{}0\x00\x00\x00\x00"))
	f.Add([]byte("1\x00\x00\x00\x05ab"))
	f.Add([]byte("X\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, buf := bytes.NewReader(data), make([]byte, 16)
		for {
			before := r.Len()
			kind, payload, err := ReadFrame(r, buf)
			if err != nil {
				return
			}
			if len(payload) > MaxFrame || before-r.Len() != headerSize+len(payload) {
				t.Fatalf("%d bytes were read for %d", before-r.Len(), len(payload))
			}
			var out bytes.Buffer
			if err := NewFrameWriter(&out).Write(kind, payload); err != nil || !bytes.Equal(out.Bytes(), data[len(data)-before:len(data)-r.Len()]) {
				t.Errorf("%q came back as %q, %v", data, out.Bytes(), err)
			}
		}
	})
}
