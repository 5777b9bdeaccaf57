package sync

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

const maxObjects = 8_000_000 // in one pack; indexing takes about 250 bytes for each

// inspect copies a pack from a server to w and refuses one with an object of more than limit bytes,
// before anything reads it whole, as go-git does to index it: a megabyte sent can be a gigabyte inflated.
func inspect(w io.Writer, r io.Reader, limit int64) error {
	r = io.TeeReader(r, w)
	scan := packfile.NewScanner(r)
	_, count, err := scan.Header()
	if err != nil {
		return err
	}
	if count > maxObjects {
		return problemf(TooLarge, "the server sends %d objects at once, at most %d are taken", count, maxObjects)
	}
	for range count {
		head, err := scan.NextObjectHeader()
		if err != nil {
			return err
		}
		if err := fits(head.Length, limit); err != nil {
			return err
		}
		var start prefix
		if _, _, err := scan.NextObject(&start); err != nil {
			return err
		}
		if head.Type.IsDelta() {
			if err := fits(start.deltaResult(), limit); err != nil {
				return err
			}
		}
	}
	if _, err := scan.Checksum(); err != nil {
		return fmt.Errorf("read the end of the pack: %w", err)
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

func fits(size, limit int64) error {
	if size < 0 || size > limit {
		return problemf(TooLarge, "the repository holds an object of %d bytes, at most %d are taken", size, limit)
	}
	return nil
}

// prefix keeps the first bytes that are written to it.
type prefix struct {
	n int
	b [2 * binary.MaxVarintLen64]byte
}

func (p *prefix) Write(b []byte) (int, error) {
	p.n += copy(p.b[p.n:], b)
	return len(b), nil
}

// deltaResult is the size of what a delta makes: the second number in it (gitformat-pack(5)). A delta
// that does not tell is left to its reader.
func (p *prefix) deltaResult() int64 {
	_, n := binary.Uvarint(p.b[:p.n])
	if n <= 0 {
		return 0
	}
	size, _ := binary.Uvarint(p.b[n:p.n])
	return int64(size)
}
