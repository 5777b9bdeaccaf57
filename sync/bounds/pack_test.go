package bounds

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"
)

// packOf is a pack of blobs; a window above 0 makes deltas of those that are alike.
func packOf(t *testing.T, window uint, blobs ...string) []byte {
	t.Helper()
	kept := memory.NewStorage()
	var hashes []plumbing.Hash
	for _, text := range blobs {
		o := &plumbing.MemoryObject{}
		o.SetType(plumbing.BlobObject)
		if _, err := o.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		h, err := kept.SetEncodedObject(o)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, h)
	}
	var out bytes.Buffer
	if _, err := packfile.NewEncoder(&out, kept, false).Encode(hashes, window); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPack(t *testing.T) {
	small := packOf(t, 0, "one", "two", "three")
	zeros := packOf(t, 0, strings.Repeat("0", 3<<20))
	many := packOf(t, 0, strings.Repeat("1", 900_000), strings.Repeat("2", 900_000))
	alike := packOf(t, 10, strings.Repeat("a line of text\n", 60_000), strings.Repeat("a line of text\n", 60_000)+"and one more\n")
	for name, c := range map[string]struct {
		pack   []byte
		limits Limits
		says   string // by TooLarge; empty if the pack is taken
	}{
		"within":              {small, Limits{Objects: 3, Object: 5, Total: 11}, ""},
		"any total":           {many, Limits{Objects: 2, Object: 1 << 20}, ""},
		"deltas within":       {alike, Limits{Objects: 2, Object: 1 << 20, Total: 4 << 20}, ""},
		"too many objects":    {small, Limits{Objects: 2, Object: 5}, "sends 3 objects at once, at most 2"},
		"an object too large": {small, Limits{Objects: 3, Object: 4}, "an object of 5 bytes, at most 4"},
		"a bomb":              {zeros, Limits{Objects: 1, Object: 1 << 20}, "an object of 3145728 bytes"},
		"together too large":  {many, Limits{Objects: 2, Object: 1 << 20, Total: 1 << 20}, "more than 1 MiB"},
		"deltas together":     {alike, Limits{Objects: 2, Object: 1 << 20, Total: 1 << 20}, "more than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := Pack(&out, bytes.NewReader(c.pack), c.limits)
			if c.says == "" {
				if err != nil || !bytes.Equal(out.Bytes(), c.pack) {
					t.Errorf("%v, and %d of %d bytes were copied", err, out.Len(), len(c.pack))
				}
				return
			}
			if large, ok := errors.AsType[TooLarge](err); !ok || !strings.Contains(string(large), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	for n := range len(small) {
		if err := Pack(io.Discard, bytes.NewReader(small[:n]), Limits{Objects: 3, Object: 5}); err == nil {
			t.Errorf("a pack cut off after %d of %d bytes was taken", n, len(small))
		}
	}
}
