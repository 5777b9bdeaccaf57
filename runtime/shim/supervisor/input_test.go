package supervisor

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"testing"
)

// TestInput_HungUp: a client that goes away while the process does not read is
// noticed, whatever it has sent before.
func TestInput_HungUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &conversation{conn: conn}
	if _, err := client.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	if c.hungUp() {
		t.Error("a client that is there counts as gone")
	}
	reader, writer := io.Pipe() // nobody reads
	defer reader.Close()
	in := typist(writer, func() { t.Error("an input that was not ended has an end") })
	defer in.abandon()
	if !in.pass(t.Context(), []byte("taken by the writer"), c.hungUp) {
		t.Fatal("the first chunk is refused")
	}
	client.Close()
	if in.pass(t.Context(), []byte("never taken"), c.hungUp) {
		t.Error("a chunk of a client that is gone was taken")
	}
}

func TestInput_Order(t *testing.T) {
	var out bytes.Buffer
	ended := make(chan struct{})
	in := typist(&out, func() { close(ended) })
	never := func() bool { return false }
	buf := []byte("a")
	for _, c := range "abcdef" {
		buf[0] = byte(c) // the caller's buffer is its own again
		if !in.pass(t.Context(), buf, never) {
			t.Fatal("refused")
		}
	}
	for range 2 {
		if !in.pass(t.Context(), nil, never) {
			t.Fatal("the end is refused")
		}
	}
	<-ended
	if got := out.String(); got != "abcdef" {
		t.Errorf("the process read %q", got)
	}
	in.abandon()
}
