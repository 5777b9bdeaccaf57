package shim

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFrame_RoundTrip(t *testing.T) {
	var wire bytes.Buffer
	w := NewFrameWriter(&wire)
	long := bytes.Repeat([]byte("long"), MaxChunk)
	if err := w.WriteJSON(FrameMessage, Request{Version: Version, Op: OpState}); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Stream(FrameStdout).Write(long); n != len(long) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if err := w.Write(FrameStdin, nil); err != nil {
		t.Fatal(err)
	}
	kind, payload, err := ReadFrame(&wire, nil)
	if kind != FrameMessage || string(payload) != `{"v":1,"op":"state"}` || err != nil {
		t.Errorf("first frame %q %s, %v", kind, payload, err)
	}
	var got []byte
	buf := make([]byte, 16)
	for range len(long) / MaxChunk {
		kind, payload, err = ReadFrame(&wire, buf)
		if kind != FrameStdout || len(payload) > MaxChunk || err != nil {
			t.Fatalf("stream frame %q of %d bytes, %v", kind, len(payload), err)
		}
		got = append(got, payload...)
	}
	if !bytes.Equal(got, long) {
		t.Errorf("got %d bytes back, want %d", len(got), len(long))
	}
	if kind, payload, err = ReadFrame(&wire, nil); kind != FrameStdin || len(payload) != 0 || err != nil {
		t.Errorf("last frame %q %q, %v", kind, payload, err)
	}
	if _, _, err = ReadFrame(&wire, nil); err != io.EOF {
		t.Errorf("after the last frame: %v, want EOF", err)
	}
}

func TestFrame_Refusals(t *testing.T) {
	huge := make([]byte, headerSize)
	binary.BigEndian.PutUint32(huge[1:], MaxFrame+1)
	tests := []struct {
		name string
		wire []byte
		want string
	}{
		{"too large", huge, "at most"},
		{"cut in the header", []byte{'M', 0}, "unexpected EOF"},
		{"cut in the payload", []byte{'M', 0, 0, 0, 9, 'x'}, "unexpected EOF"},
		{"no payload", []byte{'M', 0, 0, 0, 9}, "unexpected EOF"},
	}
	for _, tt := range tests {
		if _, _, err := ReadFrame(bytes.NewReader(tt.wire), nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

// TestProtocol_OnlyGrows decodes what the first version sent; the golden texts
// are never changed, only added to.
func TestProtocol_OnlyGrows(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	container := Container{
		ID: "c1", Name: "app", Attempt: 2, Labels: map[string]string{"k": "v"}, Status: StatusExited, PIDStart: 9, BootID: "b",
		CreatedAt: at, StartedAt: at, FinishedAt: at, ExitCode: 137, Signal: 9, OOMKilled: true, Reason: ReasonOOMKilled,
		LogPath: "/log", LogDropped: 4, RestoredAt: 3, StartedSeq: 5, ExitedSeq: 7,
	}
	tests := []struct {
		text string
		want any
	}{
		{`{"id":"c1","name":"app","attempt":2,"labels":{"k":"v"},"status":"exited","pidStart":9,"bootID":"b","createdAt":"2026-01-02T03:04:05.000000006Z","startedAt":"2026-01-02T03:04:05.000000006Z","finishedAt":"2026-01-02T03:04:05.000000006Z","exitCode":137,"signal":9,"oomKilled":true,"reason":"OOMKilled","logPath":"/log","logDropped":4,"restoredAt":3,"startedSeq":5,"exitedSeq":7,"some-later-field":1}`, container},
		{`{"id":"c","graceMillis":30000}`, StopRequest{ID: "c", GraceMillis: 30000}},
		{`{"after":4294967297}`, EventsRequest{After: 4294967297}},
		{`{"seq":6,"kind":"exited","time":"2026-01-02T03:04:05.000000006Z"}`, Event{Seq: 6, Kind: EventExited, Time: at}},
		{`{"id":"c","args":["a"],"env":["A=b"],"cwd":"/","tty":true,"width":80,"height":25,"stdin":true,"timeoutMillis":1000}`,
			ExecRequest{ID: "c", Args: []string{"a"}, Env: []string{"A=b"}, Cwd: "/", TTY: true, Width: 80, Height: 25, Stdin: true, TimeoutMillis: 1000}},
		{`{"error":{"code":"not-found","message":"no"}}`, Response{Error: &Error{CodeNotFound, "no"}}},
		{`{"cgroupPath":"/p","hostname":"h","hostIPC":true,"netnsPath":"/n"}`, Sandbox{CgroupPath: "/p", Hostname: "h", HostIPC: true, NetNSPath: "/n"}},
	}
	for _, tt := range tests {
		got := reflect.New(reflect.TypeOf(tt.want))
		if err := json.Unmarshal([]byte(tt.text), got.Interface()); err != nil {
			t.Errorf("decode %T: %v", tt.want, err)
			continue
		}
		if !reflect.DeepEqual(got.Elem().Interface(), tt.want) {
			t.Errorf("decode %s\n got %+v\nwant %+v", tt.text, got.Elem().Interface(), tt.want)
		}
		data, err := json.Marshal(tt.want)
		if want := strings.Replace(tt.text, `,"some-later-field":1`, "", 1); err != nil || string(data) != want {
			t.Errorf("encode %T\n got %s\nwant %s", tt.want, data, want)
		}
	}
}

func TestError_Sentinels(t *testing.T) {
	err := error(Errorf(CodeConflict, "container %q is %s", "c", StatusExited))
	if !errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoShim) {
		t.Errorf("%v: matches the wrong sentinels", err)
	}
}

// TestClient_Answers speaks to a peer that answers by hand.
func TestClient_Answers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	client := New(dir)
	if _, err := client.Hello(t.Context()); !errors.Is(err, ErrNoShim) {
		t.Errorf("nobody there: %v, want ErrNoShim", err)
	}
	answers := make(chan func(net.Conn), 1)
	serve(t, dir, answers)
	reply := func(r Response) func(net.Conn) {
		return func(conn net.Conn) { _ = NewFrameWriter(conn).WriteJSON(FrameMessage, r) }
	}

	answers <- reply(Response{Body: json.RawMessage(`{"id":"c"}`), Error: Errorf(CodeStart, "no such command")})
	got, err := client.Start(t.Context(), StartRequest{ID: "c"})
	if !errors.Is(err, ErrStart) || err.Error() != "no such command" || got.ID != "c" {
		t.Errorf("refused start: %+v, %v, want both", got, err)
	}

	answers <- func(net.Conn) {}
	if _, err := client.State(t.Context()); !errors.Is(err, ErrNoShim) {
		t.Errorf("shim that hangs up: %v, want ErrNoShim", err)
	}

	answers <- func(net.Conn) { <-t.Context().Done() }
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := client.State(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("call that was given up: %v, want it cancelled", err)
	}
}

func serve(t *testing.T, dir string, answers <-chan func(net.Conn)) {
	t.Helper()
	t.Chdir(dir)
	listener, err := net.Listen("unix", socketName)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, _, err := ReadFrame(conn, nil); err == nil {
				answer := <-answers
				go func() {
					answer(conn)
					conn.Close()
				}()
			}
		}
	}()
}

func TestLaunch_RefusesOpenDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	_, err := Launch(t.Context(), LaunchConfig{Binary: "/nonexistent", Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "0700") {
		t.Errorf("launch in a directory with mode 0750: %v, want it refused", err)
	}
}
