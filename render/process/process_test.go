package process

import (
	"io"
	"os"
	"testing"
)

// The test binary is also a child that floods what it may print, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "flood" {
		line := append(make([]byte, 64<<10), '\n')
		for range 64 {
			_, _ = os.Stderr.Write(line)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestProcess_KeepsLittleOfAFlood(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := StartOutside(self, "flood")
	if err != nil {
		t.Fatal(err)
	}
	_, _, received := p.Conn.Receive() // returns once the child has ended
	if why := p.End(received); received != io.EOF || len(why) != maxTail {
		t.Errorf("%d bytes were kept, %v, want %d", len(why), received, maxTail)
	}
}
