package supervisor

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"writ/runtime/shim/crilog"
)

// stage is a FIFO, a log and a journal, without a container.
type stage struct {
	t              *testing.T
	fifo, log, jnl string
	writer         *os.File
}

func newStage(t *testing.T) *stage {
	t.Helper()
	dir := t.TempDir()
	s := &stage{t: t, fifo: filepath.Join(dir, "stdout"), log: filepath.Join(dir, "0.log"), jnl: filepath.Join(dir, "journal")}
	if err := makeFIFO(s.fifo); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.writer, err = openFIFO(s.fifo, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.writer.Close() })
	return s
}

func (s *stage) print(text string) {
	s.t.Helper()
	if _, err := s.writer.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// open is what a new shim does.
func (s *stage) open() *output {
	s.t.Helper()
	out, err := newOutput(slog.New(slog.DiscardHandler), crilog.New(crilog.Config{Path: s.log}), s.jnl)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := out.add(crilog.Stdout, s.fifo); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// logged returns the tags and texts in the log.
func (s *stage) logged() string {
	s.t.Helper()
	data, err := os.ReadFile(s.log)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		out = append(out, strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)[2])
	}
	return strings.Join(out, "|")
}

func TestOutput_UnfinishedLineWaits(t *testing.T) {
	s := newStage(t)
	out := s.open()
	fd := int(out.sources[0].file.Fd())
	s.print("one\ntw")
	for out.step(out.sources[0], fd, crilog.Keep) {
	}
	if got := s.logged(); got != "F one" {
		t.Errorf("logged %q, want the whole line only", got)
	}
	s.print("o\nthree")
	out.start()
	out.finish()
	if got := s.logged(); got != "F one|F two|F three" {
		t.Errorf("logged %q", got)
	}
}

// TestOutput_KilledAt goes through every point at which a shim can be killed in
// one step, and wants each line once afterwards.
func TestOutput_KilledAt(t *testing.T) {
	const text, rest = "one\ntwo\n", "three\n"
	tests := []struct {
		name string
		kill func(s *stage, out *output, sl *slot, fd int)
	}{
		{"before the write", func(s *stage, out *output, sl *slot, fd int) {
			out.begin(sl, text, 0)
		}},
		{"in the write", func(s *stage, out *output, sl *slot, fd int) {
			out.begin(sl, text, 11)
		}},
		{"after the write", func(s *stage, out *output, sl *slot, fd int) {
			out.begin(sl, text, -1)
		}},
		{"before the FIFO was read", func(s *stage, out *output, sl *slot, fd int) {
			out.begin(sl, text, -1)
			sl.written()
		}},
		{"after the FIFO was read", func(s *stage, out *output, sl *slot, fd int) {
			out.begin(sl, text, -1)
			sl.written()
			if err := readFull(fd, make([]byte, len(text))); err != nil {
				s.t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.print(text)
			first := s.open()
			fd := int(first.sources[0].file.Fd())
			tt.kill(s, first, first.journal.slot(crilog.Stdout), fd)
			s.print(rest)
			second := s.open()
			second.start()
			second.finish()
			if got := s.logged(); got != "F one|F two|F three" {
				t.Errorf("logged %q, want each line once", got)
			}
		})
	}
}

// begin writes the first n bytes of what text becomes in the log; -1 means all.
func (o *output) begin(sl *slot, text string, n int) {
	var line strings.Builder
	for l := range strings.Lines(text) {
		fmt.Fprintf(&line, "2026-01-01T00:00:00Z stdout F %s", l)
	}
	full := line.String()
	if n < 0 {
		n = len(full)
	}
	_ = o.file.Append([]byte(full[:max(n, 1)]), len(text), func(at crilog.Position) { sl.begin([]byte(text), at) })
	if n == 0 {
		_ = o.file.Rewind(sl.position())
	}
}

// TestOutput_ManySmallPieces fills a pipe with pages of one byte each, which a
// look can only partly show.
func TestOutput_ManySmallPieces(t *testing.T) {
	s := newStage(t)
	out := s.open()
	if _, err := unix.FcntlInt(uintptr(out.peeker.out), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(s.writer.Fd(), unix.F_SETFL, unix.O_DIRECT); err != nil { // each write is a page of its own
		t.Skipf("no packet mode: %v", err)
	}
	for range 40 {
		s.print("x")
	}
	s.print("\n")
	out.start()
	out.finish()
	got := strings.ReplaceAll(strings.ReplaceAll(s.logged(), "P ", ""), "|", "")
	if got != strings.Repeat("x", 40)+"F " && got != strings.Repeat("x", 39)+"F x" {
		t.Errorf("logged %q, want 40 letters and the end of a line", got)
	}
}

func TestTaps_SlowOneIsCutOff(t *testing.T) {
	var all taps
	slow, other := all.add(), all.add()
	for i := range tapBacklog + 1 {
		all.send(crilog.Stdout, []byte{byte(i)})
		if got := <-other.chunks; got.data[0] != byte(i) {
			t.Fatalf("chunk %d is %v", i, got.data)
		}
	}
	n := 0
	for range slow.chunks {
		n++
	}
	if n != tapBacklog || !slow.cut || other.cut {
		t.Errorf("the slow tap got %d chunks, cut %v, the other cut %v", n, slow.cut, other.cut)
	}
	all.close()
	if _, ok := <-other.chunks; ok {
		t.Error("a tap is open after close")
	}
	if _, ok := <-all.add().chunks; ok {
		t.Error("a tap added after close is open")
	}
}
