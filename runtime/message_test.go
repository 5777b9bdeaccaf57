package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"writ/runtime/shim"
)

// Of a file its end is told, as kubelet does.
func TestTail(t *testing.T) {
	name := filepath.Join(t.TempDir(), "message")
	long := strings.Repeat("a", 5000) + "the end"
	if err := os.WriteFile(name, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := tail(name, maxMessage)
	if err != nil || string(got) != long[len(long)-maxMessage:] {
		t.Errorf("%d bytes ending in %q, %v, want the last %d", len(got), got[max(0, len(got)-10):], err, maxMessage)
	}
	if got, err := tail(name, 10000); err != nil || string(got) != long {
		t.Errorf("%d bytes, %v, want all %d", len(got), err, len(long))
	}
	if _, err := tail(name+"x", 10); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestLastLines(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	var log strings.Builder
	for i := range 200 {
		fmt.Fprintf(&log, "2026-01-01T12:00:00.000000000Z %s F line %d\n", []string{"stdout", "stderr"}[i%2], i)
	}
	log.WriteString("2026-01-01T12:00:00.000000000Z stdout P cut \n2026-01-01T12:00:00.000000000Z stdout F in two\n")
	if err := os.WriteFile(name, []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got := lastLines(name)
	if !strings.HasPrefix(got, "line 122\n") || !strings.HasSuffix(got, "line 199\ncut in two\n") {
		t.Errorf("%d lines from %q to %q, want the last 80 of the log", strings.Count(got, "\n"), got[:10], got[len(got)-20:])
	}
	if err := os.WriteFile(name, []byte("2026-01-01T12:00:00.000000000Z stdout F "+strings.Repeat("b", 3000)+"!\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lastLines(name); len(got) != maxMessageOfLogs || !strings.HasSuffix(got, "b!\n") {
		t.Errorf("%d bytes, want the last %d", len(got), maxMessageOfLogs)
	}
}

// Of a Pod that nobody knows any more there may be a message that cannot be read.
func TestTerminationMessage_OfAnUnknownContainer(t *testing.T) {
	w := &worker{paths: podPaths{data: t.TempDir()}, desired: Desired{Pod: &corev1.Pod{}}}
	r := &Run{Container: shim.Container{ID: "a1", Name: "main", Status: shim.StatusExited}}
	if err := os.MkdirAll(w.paths.message(r.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := w.terminationMessage(r); got != "" {
		t.Errorf("it says %q", got)
	}
	w.desired.Pod = pod("web", "img", nil)
	if got := w.terminationMessage(r); !strings.HasPrefix(got, "Error on reading termination log /dev/termination-log: ") {
		t.Errorf("of one that is known it says %q", got)
	}
}

// The messages of a Pod share 12 KiB.
func TestBoundMessages(t *testing.T) {
	s := &corev1.PodStatus{}
	for range 6 {
		ended := &corev1.ContainerStateTerminated{Message: strings.Repeat("c", maxMessage)}
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{State: corev1.ContainerState{Terminated: ended}})
	}
	boundMessages(s)
	for i := range s.ContainerStatuses {
		if got := len(s.ContainerStatuses[i].State.Terminated.Message); got != 2048 {
			t.Errorf("message %d has %d bytes, want 2048", i, got)
		}
	}
}
