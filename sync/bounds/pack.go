// Package bounds looks through what Git servers send before anything else reads it. It never keeps an
// object and knows nothing of what is in them.
package bounds

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// Limits bounds a pack.
type Limits struct {
	Objects uint32
	Object  int64 // bytes of one object, inflated
	Total   int64 // bytes of all objects together, inflated; 0 for any
}

// TooLarge is the error for a pack that is whole and beyond a limit.
type TooLarge string

func (t TooLarge) Error() string { return string(t) }

// Pack copies a pack from a server to w and refuses one that is beyond the limits, before anything
// reads an object of it whole, as go-git does to index it: a megabyte sent can be a gigabyte inflated.
func Pack(w io.Writer, r io.Reader, l Limits) error {
	r = io.TeeReader(r, w)
	scan := packfile.NewScanner(r)
	_, count, err := scan.Header()
	if err != nil {
		return err
	}
	if count > l.Objects {
		return TooLarge(fmt.Sprintf("the server sends %d objects at once, at most %d are taken", count, l.Objects))
	}
	var total int64
	for range count {
		size, err := next(scan, l.Object)
		if err != nil {
			return err
		}
		if total += size; l.Total > 0 && total > l.Total {
			return TooLarge(fmt.Sprintf("the repository holds more than %d MiB", l.Total>>20))
		}
	}
	if _, err := scan.Checksum(); err != nil {
		return fmt.Errorf("read the end of the pack: %w", err)
	}
	_, err = io.Copy(io.Discard, r)
	return err
}

// next reads over an object and returns how large it is, with the delta that makes it.
func next(scan *packfile.Scanner, limit int64) (int64, error) {
	head, err := scan.NextObjectHeader()
	if err != nil {
		return 0, err
	}
	if err := fits(head.Length, limit); err != nil {
		return 0, err
	}
	var start prefix
	if _, _, err := scan.NextObject(&start); err != nil {
		return 0, err
	}
	if !head.Type.IsDelta() {
		return head.Length, nil
	}
	made := start.deltaResult()
	return head.Length + made, fits(made, limit)
}

func fits(size, limit int64) error {
	if size < 0 || size > limit {
		return TooLarge(fmt.Sprintf("the repository holds an object of %d bytes, at most %d are taken", size, limit))
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
