package logs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	line1 = "2026-01-01T00:00:01Z stdout F one\n"
	line2 = "2026-01-01T00:00:02Z stderr F two\n"
	part3 = "2026-01-01T00:00:03Z stdout P thr\n"
	rest3 = "2026-01-01T00:00:03.5Z stdout F ee\n"
	line4 = "2026-01-01T00:00:04Z stdout F four\n"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	since := time.Date(2026, 1, 1, 0, 0, 3, 0, time.UTC)
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"all", Options{Tail: -1}, "one\ntwo\nthree\nfour\n"},
		{"last line", Options{Tail: 1}, "four\n"},
		{"over a rotation", Options{Tail: 4}, "two\nthree\nfour\n"},
		{"more than there are", Options{Tail: 99}, "one\ntwo\nthree\nfour\n"},
		{"none", Options{Tail: 0}, ""},
		{"since", Options{Tail: -1, Since: since}, "three\nfour\n"},
		{"limit", Options{Tail: -1, LimitBytes: 6}, "one\ntw"},
		{"timestamps", Options{Tail: 3, Timestamps: true}, "2026-01-01T00:00:03Z three\n2026-01-01T00:00:04Z four\n"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "0.log")
		write(t, path+".20260101-000002", line1+line2)
		write(t, path, part3+rest3+line4)
		var out bytes.Buffer
		if err := Read(t.Context(), NewHub(), path, tt.o, &out); err != nil || out.String() != tt.want {
			t.Errorf("%s: Read gave %q, %v, want %q", tt.name, out.String(), err, tt.want)
		}
	}
}

func TestRead_MissingIsEmpty(t *testing.T) {
	var out bytes.Buffer
	if err := Read(t.Context(), NewHub(), filepath.Join(t.TempDir(), "0.log"), Options{Tail: -1}, &out); err != nil || out.Len() > 0 {
		t.Errorf("Read of nothing gave %q, %v", out.String(), err)
	}
}

// sink lets a test wait for what was written.
type sink struct {
	mu   sync.Mutex
	text string
	bell chan struct{}
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.text += string(p)
	s.mu.Unlock()
	select {
	case s.bell <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (s *sink) await(t *testing.T, want string) {
	t.Helper()
	end := time.After(5 * time.Second)
	for {
		s.mu.Lock()
		got := s.text
		s.mu.Unlock()
		if got == want {
			return
		}
		select {
		case <-s.bell:
		case <-end:
			t.Fatalf("log is %q after 5 s, want %q", got, want)
		}
	}
}

func TestRead_FollowsOverRotation(t *testing.T) {
	hub := NewHub()
	path := filepath.Join(t.TempDir(), "0.log")
	write(t, path, line1)
	out, ended, done := &sink{bell: make(chan struct{}, 1)}, make(chan struct{}), make(chan error, 1)
	go func() { done <- Read(t.Context(), hub, path, Options{Tail: -1, Follow: true, Ended: ended}, out) }()
	out.await(t, "one\n")
	write(t, path, line2[:20])
	write(t, path, line2[20:])
	out.await(t, "one\ntwo\n")
	write(t, path, part3)
	if err := os.Rename(path, path+".20260101-000003"); err != nil {
		t.Fatal(err)
	}
	write(t, path, rest3)
	out.await(t, "one\ntwo\nthree\n")
	write(t, path, line4)
	close(ended)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.text, "three\nfour\n") {
		t.Errorf("log is %q after the end, want it to end with four", out.text)
	}
}

// slow is a sink whose first write waits.
type slow struct {
	*sink
	once    sync.Once
	entered chan struct{}
	proceed chan struct{}
}

func (s *slow) Write(p []byte) (int, error) {
	s.once.Do(func() {
		close(s.entered)
		<-s.proceed
	})
	return s.sink.Write(p)
}

// TestRead_ManyRotationsAtOnce: a reader that is slower than the container misses nothing that is
// still there and gives nothing twice.
func TestRead_ManyRotationsAtOnce(t *testing.T) {
	tests := []struct {
		name    string
		deleted []string
		want    string
	}{
		{"all are there", nil, "one\ntwo\nthree\nfour\n"},
		{"the one that is read is deleted", []string{"000001"}, "one\ntwo\nthree\nfour\n"},
		{"the next is deleted too", []string{"000001", "000002"}, "one\nthree\nfour\n"},
	}
	for _, tt := range tests {
		hub := NewHub()
		path := filepath.Join(t.TempDir(), "0.log")
		write(t, path, line1)
		out := &slow{sink: &sink{bell: make(chan struct{}, 1)}, entered: make(chan struct{}), proceed: make(chan struct{})}
		ended, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- Read(t.Context(), hub, path, Options{Tail: -1, Follow: true, Ended: ended}, out) }()
		<-out.entered
		for i, text := range []string{line2, part3 + rest3, line4} {
			if err := os.Rename(path, fmt.Sprintf("%s.20260101-%06d", path, i+1)); err != nil {
				t.Fatal(err)
			}
			write(t, path, text)
		}
		for _, stamp := range tt.deleted {
			if err := os.Remove(path + ".20260101-" + stamp); err != nil {
				t.Fatal(err)
			}
		}
		close(out.proceed)
		out.await(t, tt.want)
		close(ended)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if out.text != tt.want {
			t.Errorf("%s: log is %q, want %q", tt.name, out.text, tt.want)
		}
	}
}
