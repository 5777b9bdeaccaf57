package confine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// process is the other end as the loader of a container sees it. It answers
// with answer, or hangs up if that is nil.
func process(t *testing.T, h *Hand, answer []byte) (told chan []byte) {
	t.Helper()
	fd, err := unix.Dup(int(h.Theirs().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	end := os.NewFile(uintptr(fd), "process")
	told = make(chan []byte, 1)
	go func() {
		defer end.Close()
		var size [4]byte
		if _, err := io.ReadFull(end, size[:]); err != nil {
			told <- nil
			return
		}
		rest := make([]byte, binary.NativeEndian.Uint32(size[:])+1)
		n, _ := io.ReadFull(end, rest)
		if answer != nil {
			_, _ = end.Write(answer)
		}
		told <- rest[:n]
	}()
	return told
}

func TestHand(t *testing.T) {
	program := Program(bytes.Repeat([]byte{9}, 8*maxInstructions)) // the largest fits before anybody reads
	tests := []struct {
		name   string
		answer []byte
		want   error
	}{
		{"loaded", make([]byte, 4), nil},
		{"refused", binary.NativeEndian.AppendUint32(nil, uint32(unix.EACCES)), unix.EACCES},
		{"died", nil, io.EOF},
	}
	for _, tt := range tests {
		h, err := NewHand(program)
		if err != nil {
			t.Fatal(err)
		}
		told := process(t, h, tt.answer)
		if err := h.Load(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if got, want := <-told, append(bytes.Clone(program), 'L'); !bytes.Equal(got, want) {
			t.Errorf("%s: the process was told %d bytes, want %d", tt.name, len(got), len(want))
		}
		if err := h.Close(); err != nil {
			t.Errorf("%s: close: %v", tt.name, err)
		}
	}
}

// TestHand_CloseEndsTheProcess: without the word to load there is an end.
func TestHand_CloseEndsTheProcess(t *testing.T) {
	program := Program(make([]byte, 8))
	h, err := NewHand(program)
	if err != nil {
		t.Fatal(err)
	}
	told := process(t, h, nil)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-told; !bytes.Equal(got, program) {
		t.Errorf("the process was told %q after the program, want an end", got)
	}
}

func TestNewHand_RefusesWhatCannotBe(t *testing.T) {
	if _, err := NewHand(make(Program, 12)); err == nil || !strings.Contains(err.Error(), "12 bytes") {
		t.Errorf("got %v", err)
	}
}
