package image

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkUnpack is one layer of 3,000 small files.
func BenchmarkUnpack(b *testing.B) {
	var members []member
	for i := range 3000 {
		members = append(members, regular(fmt.Sprintf("usr/share/d%d/file-%d", i/100, i), "some text of a file"))
	}
	data := pack(b, members...)
	digest := digestOf(data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := unpack(b.Context(), b.TempDir(), bytes.NewReader(data), digest, defaultLimits()); err != nil {
			b.Fatal(err)
		}
	}
}
