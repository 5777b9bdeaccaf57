package wire

import (
	"io"
	"testing"
)

// TestFiles_RefusedBaseIsAskedForAgain: why one job may not have it need not hold for another.
func TestFiles_RefusedBaseIsAskedForAgain(t *testing.T) {
	fromDaemon, toChild := io.Pipe()
	fromChild, toDaemon := io.Pipe()
	daemon := NewConn(fromChild, toChild)
	asked := make(chan int, 1)
	go func() {
		n := 0
		defer func() { asked <- n }()
		for _, answer := range []Answer{{Refused: "too many"}, {Kind: Folder, Path: "/git.example/a@v1"}} {
			if _, _, err := daemon.Receive(); err != nil {
				return
			}
			n++
			if daemon.Send(Message{Answer: &answer}, nil) != nil {
				return
			}
		}
	}()
	files := NewFiles(NewConn(fromDaemon, toDaemon))
	files.Begin()
	if at, err := files.Base("a"); err == nil {
		t.Errorf("a base that is refused is at %q", at)
	}
	for range 2 { // the second time from memory
		files.Begin()
		if at, err := files.Base("a"); err != nil || at != "/git.example/a@v1" {
			t.Errorf("the next job got %q, %v", at, err)
		}
	}
	if n := <-asked; n != 2 {
		t.Errorf("%d questions", n)
	}
}
