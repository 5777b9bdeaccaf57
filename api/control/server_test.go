package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"writ/state"
)

// node is a daemon made by hand.
type node struct {
	w       *state.World
	downs   int
	failing error
	history []state.Progress
}

func (n *node) World() *state.World                    { return n.w }
func (n *node) Changed(state.Revision) <-chan struct{} { return nil }
func (n *node) Facts() Facts                           { return Facts{Node: "n1", Newest: &Commit{Hash: "aaaa"}} }
func (n *node) Sync(context.Context) error             { return n.failing }
func (n *node) History(limit int) []state.Progress {
	if limit > 0 && limit < len(n.history) {
		return n.history[:limit]
	}
	return n.history
}

func (n *node) TokenKeys() ([]byte, error) { return []byte(`{"keys":[]}`), nil }

func (n *node) TokenIssuer() ([]byte, error) { return nil, errors.New("no issuer") }

func (n *node) Superseded(_ context.Context, commit string) string {
	if strings.HasPrefix("cccc", commit) {
		return "dddd"
	}
	return ""
}
func (n *node) Down(_ context.Context, purge bool, out io.Writer) error {
	n.downs++
	fmt.Fprintf(out, "purge %v\n", purge)
	return n.failing
}

type noEvents struct{}

func (noEvents) Told(ns string, after uint64) ([]state.Event, uint64) {
	return []state.Event{{Reason: "Started", Message: ns}}, after + 1
}
func (noEvents) Changed(uint64) <-chan struct{} { return nil }

// echo is a container whose commands print what they read, and exit with 7.
type echo struct{}

func (echo) Logs(_ context.Context, q LogQuery, out io.Writer) error {
	if q.Pod != "web-1" {
		return errors.New("no such pod")
	}
	fmt.Fprintf(out, "%+v\n", q)
	if q.Previous {
		return errors.New("the file ends\nin the middle")
	}
	return nil
}

func (echo) Exec(_ context.Context, q ExecQuery, s ExecStreams) (int, error) {
	switch q.Container {
	case "none":
		return 0, errors.New("no such container")
	case "deaf":
		return 3, nil
	}
	fmt.Fprintf(s.Stderr, "%q", q.Command)
	data, err := io.ReadAll(s.Stdin)
	if err != nil {
		return 0, err
	}
	_, err = s.Stdout.Write(data)
	return 7, err
}

// serve runs a server on a socket of its own.
func serve(t *testing.T, n *node) *Client {
	t.Helper()
	return serveWith(t, n, echo{})
}

func serveWith(t *testing.T, n *node, c Containers) *Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "control") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "run", "writ.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", p, info.Mode().Perm(), want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- NewServer(n, noEvents{}, c, n, slog.New(slog.DiscardHandler)).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another daemon") {
		t.Errorf("a second daemon on the socket: %v", err)
	}
	return NewClient(path)
}

func TestServer_StatusEventsHistory(t *testing.T) {
	at := time.Unix(1700000000, 0)
	c := serve(t, &node{w: world(t, deployment("web", 3)), history: []state.Progress{
		{Commit: "bbbb", Seen: state.Stage{At: at}, Rendered: state.Stage{Reason: "a mistake"}},
		{Commit: "aaaa", Seen: state.Stage{At: at}, Adopted: state.Stage{At: at.Add(time.Second)}, Healthy: state.Stage{At: at.Add(3 * time.Second)}, Changed: 2},
	}})
	var s Status
	if err := c.Get(t.Context(), "/v1/status", nil, &s); err != nil || !s.Healthy || len(s.Objects) != 1 || s.Objects[0].Ready != "3/3 ready" {
		t.Errorf("status %+v, %v", s, err)
	}
	var e state.Event
	if err := c.Get(t.Context(), "/v1/events", url.Values{"namespace": {"shop"}}, &e); err != nil || e.Message != "shop" {
		t.Errorf("events %+v, %v", e, err)
	}
	var entries []Entry
	if err := c.Get(t.Context(), "/v1/history", nil, &entries); err != nil || len(entries) != 2 || entries[0].Current || !entries[1].Current {
		t.Fatalf("history %+v, %v", entries, err)
	}
	if e := entries[0]; e.Result != state.Stopped || e.Reason != "a mistake" || e.Stages.Seen.At.IsZero() || e.Stages.Adopted.Reached() {
		t.Errorf("a commit with a mistake: %+v", e)
	}
	if e := entries[1]; e.Result != state.Healthy || e.Reason != "" || e.Seconds != 3 || e.Changed != 2 {
		t.Errorf("a commit in force: %+v", e)
	}
	if err := c.Get(t.Context(), "/v1/history", url.Values{"limit": {"1"}}, &entries); err != nil || len(entries) != 1 || entries[0].Commit != "bbbb" {
		t.Errorf("history of one: %+v, %v", entries, err)
	}
	if err := c.Get(t.Context(), "/v1/history", url.Values{"limit": {"few"}}, &entries); err == nil {
		t.Error("history of few: no error")
	}
	for commit, by := range map[string]string{"": "", "aa": "", "cc": "dddd", "ee": ""} {
		var s Status
		if err := c.Get(t.Context(), "/v1/status", url.Values{"commit": {commit}}, &s); err != nil || s.SupersededBy != by {
			t.Errorf("commit %q is superseded by %q, %v; want %q", commit, s.SupersededBy, err, by)
		}
	}
	err := c.Get(t.Context(), "/v1/pods", url.Values{"kind": {"deploy"}, "name": {"web"}, "namespace": {"default"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "there is one of that name in namespace shop") {
		t.Errorf("object in another namespace: %v", err)
	}
	err = c.Get(t.Context(), "/v1/pods", url.Values{"kind": {"thing"}, "name": {"web"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "not a kind") {
		t.Errorf("unknown kind: %v", err)
	}
}

func TestServer_LogsAndDown(t *testing.T) {
	n := &node{w: world(t)}
	c := serve(t, n)
	read := func(method, path string, q url.Values) (string, error) {
		body, err := c.Stream(t.Context(), method, path, q)
		if err != nil {
			return "", err
		}
		defer body.Close()
		data, err := io.ReadAll(body)
		return string(data), err
	}
	got, err := read(http.MethodGet, "/v1/logs", url.Values{"pod": {"web-1"}, "tail": {"5"}, "since": {"1m"}, "follow": {"1"}})
	if err != nil || !strings.Contains(got, "Follow:true") || !strings.Contains(got, "Tail:5 Since:1m0s") {
		t.Errorf("logs %q, %v", got, err)
	}
	if _, err := read(http.MethodGet, "/v1/logs", url.Values{"pod": {"web-2"}}); err == nil || err.Error() != "no such pod" {
		t.Errorf("logs of nothing: %v", err)
	}
	got, err = read(http.MethodGet, "/v1/logs", url.Values{"pod": {"web-1"}, "previous": {"1"}})
	if err == nil || !strings.Contains(err.Error(), "in the middle") || strings.Contains(got, "in the middle") || !strings.Contains(got, "Previous:true") {
		t.Errorf("logs that end in the middle: %q, %v; want what there is, then the error", got, err)
	}
	if _, err := read(http.MethodGet, "/v1/logs", url.Values{"pod": {"web-1"}, "tail": {"x"}}); err == nil {
		t.Error("tail x was taken")
	}
	n.failing = errors.New("a pod does not end")
	got, err = read(http.MethodPost, "/v1/down", url.Values{"purge": {"1"}})
	if err != nil || got != "purge true\nerror: a pod does not end\n" || n.downs != 1 {
		t.Errorf("down: %q, %v, called %d times", got, err, n.downs)
	}
}

func TestServer_Exec(t *testing.T) {
	c := serve(t, &node{w: world(t)})
	input := strings.Repeat("0123456789", 300_000) // several frames
	var out, errOut bytes.Buffer
	code, err := c.Exec(t.Context(), ExecQuery{Pod: "web-1", Command: []string{"cat", "a \"b\"\n"}}, ExecStreams{Stdin: strings.NewReader(input), Stdout: &out, Stderr: &errOut})
	if err != nil || code != 7 || out.String() != input || errOut.String() != `["cat" "a \"b\"\n"]` {
		t.Errorf("exit code %d, %v, %d bytes out, %q", code, err, out.Len(), errOut.String())
	}
	code, err = c.Exec(t.Context(), ExecQuery{Container: "deaf", Command: []string{"true"}}, ExecStreams{Stdin: strings.NewReader(input), Stdout: &out, Stderr: &errOut})
	if err != nil || code != 3 {
		t.Errorf("a command that does not read its input: exit code %d, %v", code, err)
	}
	if _, err := c.Exec(t.Context(), ExecQuery{Container: "none", Command: []string{"x"}}, ExecStreams{Stdout: &out, Stderr: &errOut}); err == nil || err.Error() != "no such container" {
		t.Errorf("exec in nothing: %v", err)
	}
	if _, err := c.Exec(t.Context(), ExecQuery{}, ExecStreams{Stdout: &out, Stderr: &errOut}); err == nil || !strings.Contains(err.Error(), "needs a command") {
		t.Errorf("exec without a command: %v", err)
	}
}

// held runs commands that end when their context does.
type held struct {
	echo
	begun, ended chan struct{}
}

func (h held) Exec(ctx context.Context, _ ExecQuery, _ ExecStreams) (int, error) {
	close(h.begun)
	<-ctx.Done()
	close(h.ended)
	return 0, ctx.Err()
}

func TestServer_ExecEndsWithItsClient(t *testing.T) {
	h := held{begun: make(chan struct{}), ended: make(chan struct{})}
	c := serveWith(t, &node{w: world(t)}, h)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Exec(ctx, ExecQuery{Command: []string{"sleep"}}, ExecStreams{Stdout: io.Discard, Stderr: io.Discard})
		failed <- err
	}()
	<-h.begun
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("exec that was given up: %v, want that it was", err)
	}
	<-h.ended // the test times out if the command runs on
}

// What a command leaves unread must not keep the connection's goroutines.
func TestFeed_EndsWithUnreadInput(t *testing.T) {
	r, w := io.Pipe()
	gone := make(chan struct{})
	stdin, _, done := feed(r, func() { close(gone) })
	if err := (&frames{w: w}).send(frameStdin, []byte("nobody reads this")); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	w.Close()
	<-gone
	<-done
}

func TestReceive_BoundsFrames(t *testing.T) {
	if _, _, err := receive(strings.NewReader("\x02\xff\xff\xff\xff")); err == nil || !strings.Contains(err.Error(), "4294967295 bytes") {
		t.Errorf("a frame of 4 GiB: %v", err)
	}
}

func TestListen_ReplacesADeadSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	again, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestServer_TokenKeys(t *testing.T) {
	c := serve(t, &node{})
	var got map[string]any
	if err := c.Get(t.Context(), PathJWKS, nil, &got); err != nil || len(got) != 1 {
		t.Errorf("keys are %v, %v", got, err)
	}
	if err := c.Get(t.Context(), PathDiscovery, nil, &got); err == nil || !strings.Contains(err.Error(), "no issuer") {
		t.Errorf("issuer: error %v, want the daemon's", err)
	}
}
