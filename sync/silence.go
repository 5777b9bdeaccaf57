package sync

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

var errStalled = errors.New("the server fell silent")

// silence ends a context when nothing has been heard for a while.
type silence struct {
	after  time.Duration
	timer  *time.Timer
	cancel context.CancelFunc
	late   atomic.Bool
}

// watchSilence begins to count at once; stop it in any case.
func watchSilence(ctx context.Context, after time.Duration) (context.Context, *silence) {
	ctx, cancel := context.WithCancel(ctx)
	s := &silence{after: after, cancel: cancel}
	s.timer = time.AfterFunc(after, func() {
		s.late.Store(true)
		cancel()
	})
	return ctx, s
}

func (s *silence) heard()      { s.timer.Reset(s.after) }
func (s *silence) fired() bool { return s.late.Load() }

func (s *silence) stop() {
	s.timer.Stop()
	s.cancel()
}

// reader counts every byte as a sign of life.
func (s *silence) reader(r io.Reader) io.Reader { return &soundReader{r, s} }

type soundReader struct {
	io.Reader
	s *silence
}

func (r *soundReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.s.heard()
	}
	return n, err
}

// limitedReader fails, where io.LimitReader would pretend an end.
type limitedReader struct {
	r           io.Reader
	left, limit int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, problemf(TooLarge, "the server sent more than the %d bytes allowed", l.limit)
	}
	return n, err
}
