package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"writ/runtime/shim/crilog"
)

// Options say what of a log is wanted.
type Options struct {
	// Tail is how many last lines, negative for all.
	Tail int
	// Since leaves out what was written before; zero leaves nothing out.
	Since time.Time
	// Timestamps puts the time before each line, RFC 3339 with nanoseconds.
	Timestamps bool
	// LimitBytes ends the output after so many bytes; 0 is no limit.
	LimitBytes int64
	// Follow goes on until Ended closes and all is read, or the context ends.
	Follow bool
	Ended  <-chan struct{}
}

// errLimit ends a read that gave all it may.
var errLimit = errors.New("limit reached")

// Read writes the log whose current file is path. Files that are rotated while it
// reads are read to their end. A missing file is an empty log.
func Read(ctx context.Context, hub *Hub, path string, o Options, out io.Writer) error {
	r := &reader{path: path, o: o, out: out, left: o.LimitBytes}
	var bell <-chan struct{}
	if o.Follow {
		var release func()
		var err error
		if bell, release, err = hub.watch(filepath.Dir(path)); err != nil {
			return err
		}
		defer release()
	}
	err := r.history()
	if err == nil && o.Follow {
		err = r.follow(ctx, bell)
	}
	if r.current != nil {
		r.current.Close()
	}
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

type reader struct {
	path    string
	o       Options
	out     io.Writer
	left    int64
	current *os.File
	rest    []byte // of current: a line without its end
	inLine  bool   // the last fragment given was partial
}

// history gives what is there, oldest first, and leaves the newest file open.
func (r *reader) history() error {
	files := r.files()
	skip, err := r.begin(files)
	if err != nil {
		return err
	}
	for _, name := range files[skip.file:] {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		if r.current != nil {
			r.current.Close()
		}
		r.current, r.rest = f, nil
		if skip.offset > 0 {
			if _, err := f.Seek(skip.offset, io.SeekStart); err != nil {
				return fmt.Errorf("read log: %w", err)
			}
			skip.offset = 0
		}
		if err := r.drain(); err != nil {
			return err
		}
	}
	return nil
}

// files are all there are of the log, the oldest first.
func (r *reader) files() []string { return append(crilog.Rotated(r.path), r.path) }

// position is a place in a list of files.
type position struct {
	file   int
	offset int64
}

// begin finds where the last Tail lines begin.
func (r *reader) begin(files []string) (position, error) {
	if r.o.Tail < 0 {
		return position{}, nil
	}
	lines := r.o.Tail
	for i := len(files) - 1; i >= 0; i-- {
		offset, found, err := tail(files[i], lines)
		if err != nil {
			return position{}, err
		}
		if found >= lines {
			return position{i, offset}, nil
		}
		lines -= found
	}
	return position{}, nil
}

// tail is where the last lines of a file begin, and how many there are at most.
func tail(name string, lines int) (offset int64, found int, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	if lines == 0 {
		return size, 0, nil
	}
	const block = 32 << 10
	buf := make([]byte, block)
	for end := size; end > 0; {
		start := max(0, end-block)
		chunk := buf[:end-start]
		if _, err := f.ReadAt(chunk, start); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		for i := len(chunk) - 1; i >= 0; i-- {
			if chunk[i] != '\n' || start+int64(i) == size-1 {
				continue
			}
			if found++; found == lines {
				return start + int64(i) + 1, found, nil
			}
		}
		end = start
	}
	if size > 0 {
		found++
	}
	return 0, found, nil
}

// follow gives what is added, and goes on in the next file when one is rotated.
func (r *reader) follow(ctx context.Context, bell <-chan struct{}) error {
	ended := r.o.Ended
	for {
		if err := r.next(); err != nil {
			return err
		}
		if ended == nil && r.o.Ended != nil {
			return nil // it had ended before all of this was read
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			ended = nil
		case <-bell:
		}
	}
}

// next gives what is new in the current file and in those that follow it.
func (r *reader) next() error {
	for {
		f, err := r.successor()
		if err != nil {
			return err
		}
		if err := r.drain(); err != nil { // nothing is added any more where there is a successor
			if f != nil {
				f.Close()
			}
			return err
		}
		if f == nil {
			return nil
		}
		if r.current != nil {
			r.current.Close()
		}
		r.current, r.rest = f, nil
	}
}

// successor opens the file after the current one, nil if there is none: a log
// may have been rotated more than once since it was looked at.
func (r *reader) successor() (*os.File, error) {
	const looks = 10 // each is spoilt by a rotation in its midst only
	for range looks {
		after, found, err := r.look()
		if err != nil || found {
			return after, err
		}
		if r.current == nil || deleted(r.current) {
			return after, nil // what is left is newer
		}
		if after != nil {
			after.Close()
		}
	}
	return nil, nil // the rotations ring, so there is another time
}

// look opens the file after the current one, and the oldest if the current one
// is not found.
func (r *reader) look() (after *os.File, found bool, err error) {
	files := r.files()
	for i := len(files) - 1; i >= 0; i-- {
		f, err := os.Open(files[i])
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && r.current != nil && same(r.current, f) {
			f.Close()
			return after, true, nil
		}
		if after != nil {
			after.Close()
		}
		if err != nil {
			return nil, false, fmt.Errorf("read log: %w", err)
		}
		after = f
	}
	return after, false, nil
}

// deleted says whether a file has no name any more.
func deleted(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return true
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}

func same(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// drain gives all whole lines of the current file.
func (r *reader) drain() error {
	if r.current == nil {
		return nil
	}
	in := bufio.NewReaderSize(r.current, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if len(r.rest) > 0 {
			line = append(r.rest, line...)
			r.rest = nil
		}
		if err != nil {
			r.rest = line
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read log: %w", err)
		}
		if err := r.give(line); err != nil {
			return err
		}
	}
}

// give writes one line of a log: "time stream tag text\n".
func (r *reader) give(line []byte) error {
	stamp, rest, ok := bytes.Cut(line, []byte{' '})
	_, rest, ok2 := bytes.Cut(rest, []byte{' '})
	tag, text, ok3 := bytes.Cut(rest, []byte{' '})
	if !ok || !ok2 || !ok3 {
		return nil // not a line of this format: written by nobody we know
	}
	if !r.o.Since.IsZero() {
		if at, err := time.Parse(time.RFC3339Nano, string(stamp)); err == nil && at.Before(r.o.Since) {
			return nil
		}
	}
	first := !r.inLine
	r.inLine = len(tag) > 0 && tag[0] == 'P'
	if r.inLine {
		text = bytes.TrimSuffix(text, []byte{'\n'})
	}
	if r.o.Timestamps && first {
		text = append(append(append([]byte(nil), stamp...), ' '), text...)
	}
	if r.o.LimitBytes > 0 {
		if int64(len(text)) >= r.left {
			if _, err := r.out.Write(text[:r.left]); err != nil {
				return err
			}
			return errLimit
		}
		r.left -= int64(len(text))
	}
	_, err := r.out.Write(text)
	return err
}
