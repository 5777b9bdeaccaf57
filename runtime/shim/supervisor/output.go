package supervisor

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"writ/runtime/shim/crilog"
)

// output moves what a container prints into its log.
//
// From a FIFO it moves in steps that a kill at any point does not tear: look
// (tee), note in the journal, write to the log, note, take out of the FIFO. An
// unfinished line stays in the FIFO. A terminal's output passes through memory;
// such a container ends with its shim anyway.
type output struct {
	log *slog.Logger

	mu      sync.Mutex // one step at a time: streams share the log and the pipe
	file    *crilog.Log
	journal *journal
	peeker  *peeker
	taps    taps
	settled bool // what a killed shim left
	failing bool // the last write failed; said once

	stopping chan struct{}
	done     sync.WaitGroup
	sources  []*source
	terminal *terminal     // instead of sources
	left     chan struct{} // closed when the terminal is not read any more: nobody had it open
	kept     []byte        // of the terminal, a line that an earlier program had begun
	started  bool
	standing atomic.Pointer[standstill]
}

// source is one stream and where it comes from.
type source struct {
	stream crilog.Stream
	file   *os.File
	shown  int // bytes at the head of the FIFO that taps have seen already
}

// scratch holds the buffers of one step. Idle containers hold none.
type scratch struct{ raw, text []byte }

const chunk = 64 << 10

var scratches = sync.Pool{New: func() any { return &scratch{raw: make([]byte, chunk)} }}

func newOutput(log *slog.Logger, file *crilog.Log, journalPath string) (*output, error) {
	j, err := openJournal(journalPath)
	if err != nil {
		return nil, err
	}
	p, err := newPeeker()
	if err != nil {
		j.close()
		return nil, err
	}
	return &output{log: log, file: file, journal: j, peeker: p, stopping: make(chan struct{})}, nil
}

// add takes up a FIFO, before start.
func (o *output) add(stream crilog.Stream, path string) error {
	file, err := openFIFO(path, unix.O_NONBLOCK)
	if err == nil {
		o.sources = append(o.sources, &source{stream: stream, file: file})
	}
	return err
}

// open makes sure that the log is there. One that cannot be opened is no reason not to go on: what is printed
// is dropped and counted until it can.
func (o *output) open() {
	if err := o.file.Open(); err != nil {
		o.log.Warn("log cannot be opened", "err", err)
	}
}

// settle comes before the first step, and not with add: it needs the log, which may hang, and a takeover waits
// for no log. It is for all streams at once: what is cut off the log is at its end still.
func (o *output) settle() {
	if o.settled {
		return
	}
	o.settled = true
	o.open()
	for _, s := range o.sources {
		if err := control(s.file, func(fd int) error { return o.recover(s, fd) }); err != nil {
			o.log.Error("what a killed shim left cannot be settled, lines may be in the log twice", "stream", s.stream, "err", err)
		}
	}
}

// recover settles a step that a killed shim left: a part in the log is cut off
// and done again, a whole one is taken out of the FIFO if it is still there.
func (o *output) recover(s *source, fd int) error {
	slot := o.journal.slot(s.stream)
	defer slot.idle()
	switch slot.phase.Load() {
	case phaseWriting:
		return o.file.Rewind(slot.position())
	case phaseWritten:
		if slot.length > chunk {
			return errors.New("log journal is damaged")
		}
		data, _, err := o.peeker.peek(fd, make([]byte, slot.length))
		if err != nil || len(data) != int(slot.length) || sum(data) != slot.sum {
			return err // it was taken out
		}
		return readFull(fd, data)
	}
	return nil
}

// start begins to copy.
func (o *output) start() {
	o.started = true
	for _, s := range o.sources {
		o.done.Go(func() { o.follow(s) })
	}
	if o.terminal != nil {
		o.left = make(chan struct{})
		o.done.Go(func() { defer close(o.left); o.followTerminal(o.terminal) })
	}
}

// follow copies one FIFO until finish is called.
func (o *output) follow(s *source) {
	conn, err := s.file.SyscallConn()
	if err == nil {
		err = conn.Read(func(fd uintptr) bool {
			for o.step(s, int(fd), crilog.Keep) {
				if o.stopped() {
					return true
				}
			}
			return o.stopped()
		})
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		o.log.Error("container output is not read any more", "stream", s.stream, "err", err)
	}
}

func (o *output) stopped() bool {
	select {
	case <-o.stopping:
		return true
	default:
		return false
	}
}

// step moves one chunk and reports whether it moved anything.
func (o *output) step(s *source, fd int, end crilog.End) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settle()
	buf := scratches.Get().(*scratch)
	defer scratches.Put(buf)

	data, all, err := o.peeker.peek(fd, buf.raw)
	if err != nil {
		o.log.Error("container output cannot be read", "stream", s.stream, "err", err)
		return false
	}
	o.taps.send(s.stream, data[min(s.shown, len(data)):])
	s.shown = len(data)
	text, taken := crilog.Format(buf.text[:0], s.stream, time.Now(), data, end)
	if taken == 0 && !all { // as much as the kernel shows, and still no line
		text, taken = crilog.Format(buf.text[:0], s.stream, time.Now(), data, crilog.Cut)
	}
	buf.text = text
	if taken == 0 {
		return false
	}
	slot := o.journal.slot(s.stream)
	err = o.file.Append(text, taken, func(at crilog.Position) { slot.begin(data[:taken], at) })
	o.note(err)
	if err == nil {
		slot.written()
	}
	if err := readFull(fd, data[:taken]); err != nil {
		o.log.Error("container output cannot be read", "stream", s.stream, "err", err)
	}
	slot.idle()
	s.shown -= taken
	return true
}

// note says once when a log cannot be written, and once when it can again.
func (o *output) note(err error) {
	switch {
	case err != nil && !o.failing:
		o.log.Warn("log cannot be written, output is dropped", "err", err)
	case err == nil && o.failing:
		o.log.Warn("log can be written again", "dropped", o.file.Dropped())
	}
	o.failing = err != nil
}

// finish takes what is left in the FIFOs, an unfinished line too, and closes
// everything. Nothing may write to them any more; it does not wait for more.
func (o *output) finish() {
	close(o.stopping)
	for _, s := range o.sources {
		_ = s.file.SetReadDeadline(time.Unix(1, 0)) // wakes follow
	}
	o.done.Wait()
	for _, s := range o.sources {
		_ = control(s.file, func(fd int) error {
			for o.step(s, fd, crilog.Keep) {
			}
			o.step(s, fd, crilog.Finish)
			return nil
		})
		s.file.Close()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taps.close()
	o.peeker.close()
	o.journal.close()
	_ = o.file.Close()
}

func (o *output) reopen() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.file.Reopen()
}

func (o *output) dropped() int64 { return o.file.Dropped() }

// control runs f with the descriptor without making it blocking.
func control(file *os.File, f func(fd int) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}
