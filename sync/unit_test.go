package sync

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/memory"
)

func TestParseSource(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"https://example.org/a.git", "https://example.org/a.git"},
		{"https://user:secret@example.org:8443/a", "https://example.org:8443/a"},
		{"https://token@example.org/a", "https://example.org/a"},
		{"HTTP://example.org/a", "http://example.org/a"},
		{"ssh://example.org/srv/a", "ssh://git@example.org/srv/a"},
		{"ssh://me:secret@example.org:22/a", "ssh://me@example.org:22/a"},
		{"git+ssh://example.org/a", "ssh://git@example.org/a"},
		{"git@example.org:team/a.git", "ssh://git@example.org/~/team/a.git"},
		{"example.org:/srv/a.git", "ssh://git@example.org/srv/a.git"},
		{"/srv/a.git", "/srv/a.git"},
		{"/srv/with:colon/a.git/", "/srv/with:colon/a.git"},
		{"file:///srv/../srv/a.git", "/srv/a.git"},
		{"file://localhost/srv/a.git", "/srv/a.git"},
		{"", "error: the repository's address is not set"},
		{"file://other/a", "error: file:// needs an absolute path on this machine: file:///path"},
		{"git://example.org/a", "error: git:// is not supported: use https, http, ssh or a path"},
		{"https:///a", "error: the repository's address names no host"},
		{"https://user:sec%ret@example.org/a", "error: the repository's address is not a URL"},
		{"git@:a", "error: the repository's address is not user@host:path"},
	} {
		s, err := parseSource(c.raw)
		got := "error: "
		if err != nil {
			got += err.Error()
		} else {
			got = s.String()
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.raw, got, c.want)
		}
	}
}

func TestConfig_Validate(t *testing.T) {
	good := Config{URL: "/srv/a.git", Ref: "team/main", Path: "/clusters/blue/", Dir: "/var/lib/mirror"}
	if err := good.Validate(); err != nil {
		t.Errorf("good configuration: %v", err)
	}
	bad := Config{URL: "ssh://example.org/a", Ref: "a..b", Path: "../up", Interval: -1}
	err := bad.Validate()
	for _, part := range []string{`ref "a..b"`, `path "../up"`, "mirror is not set", "must not be negative", "known_hosts file"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want it to tell %q", err, part)
		}
	}
}

func TestParseTrailers(t *testing.T) {
	for _, c := range []struct {
		name, message string
		want          map[string][]string
	}{
		{"none", "subject\n\nbody\n", nil},
		{"only a subject", "Writ-Allow: all", nil},
		{"one", "subject\n\nbody\n\nWrit-Allow: all\n", map[string][]string{"Writ-Allow": {"all"}}},
		{"right after the subject", "subject\n\nwrit-ALLOW : all", map[string][]string{"Writ-Allow": {"all"}}},
		{"twice and folded", "s\n\nA: 1\nB: 2\n   3\na: 4\n", map[string][]string{"A": {"1", "4"}, "B": {"2 3"}}},
		{"folded from the first line", "s\n\nA:\n 1\n  2\n", map[string][]string{"A": {"1 2"}}},
		{"windows lines", "s\r\n\r\nA: 1\r\n", map[string][]string{"A": {"1"}}},
		{"not the last paragraph", "s\n\nA: 1\n\nthe end\n", nil},
		{"mixed with prose", "s\n\nsee below\nA: 1\n", nil},
		{"a value is needed only by its reader", "s\n\nA:\n", map[string][]string{"A": {""}}},
		{"a key has no space", "s\n\nsee this: 1\n", nil},
		{"blank lines of spaces", "s\n \n \nA: 1\n \n", map[string][]string{"A": {"1"}}},
		{"signed off below prose", "s\n\nsee below\nand here\nAllow-Delete: all\nSigned-off-by: T <t@example.org>\n",
			map[string][]string{"Allow-Delete": {"all"}, "Signed-Off-By": {"T <t@example.org>"}}},
		{"too much prose for one that git wrote", "s\n\na\nb\nc\nd\nSigned-off-by: T\n", nil},
		{"a picked commit", "s\n\nA: 1\n(cherry picked from commit 1234)\nB: 2\n", map[string][]string{"A": {"1"}, "B": {"2"}}},
		{"a comment", "s\n\nA: 1\n# B: 2\nC: 3\n", map[string][]string{"A": {"1"}, "C": {"3"}}},
		{"begins with a continuation", "s\n\n  more\nA: 1\n", nil},
		{"two dashes", "s\n\n--A-: 1\n", map[string][]string{"--A-": {"1"}}},
		{"not ASCII", "s\n\nÄ: 1\n", nil},
	} {
		if got := parseTrailers(c.message); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if got := gitTrailers(t, c.message); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: git reads %v, want %v", c.name, got, c.want)
		}
	}
}

// gitTrailers reads trailers as git does.
func gitTrailers(t *testing.T, message string) map[string][]string {
	t.Helper()
	cmd := exec.Command("git", "interpret-trailers", "--parse", "--no-divider")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(message, "\r\n", "\n"))
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("git is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	var trailers map[string][]string
	for line := range strings.Lines(string(out)) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		if trailers == nil {
			trailers = map[string][]string{}
		}
		key = textproto.CanonicalMIMEHeaderKey(key)
		trailers[key] = append(trailers[key], strings.TrimSpace(value))
	}
	return trailers
}

// pack begins a pack of one entry.
func packOf(count uint32, kind byte, size uint64, base, content string) []byte {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("PACK"), 2), count)
	b = append(b, kind<<4|byte(size&15)|0x80)
	b = binary.AppendUvarint(b, size>>4)
	b = append(b, base...)
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write([]byte(content))
	w.Close()
	b = append(b, z.Bytes()...)
	sum := sha1.Sum(b)
	return append(b, sum[:]...)
}

func TestInspect(t *testing.T) {
	const maxObject = 1000
	delta := string(binary.AppendUvarint(binary.AppendUvarint(nil, 10), maxObject+1)) + "\x90"
	small := string(binary.AppendUvarint(binary.AppendUvarint(nil, 10), 20)) + "\x90"
	base := strings.Repeat("b", 20)
	for name, c := range map[string]struct {
		pack []byte
		want string
	}{
		"fits":                   {packOf(1, 3, 3, "", "abc"), ""},
		"a delta fits":           {packOf(1, 7, uint64(len(small)), base, small), ""},
		"too large":              {packOf(1, 3, maxObject+1, "", "abc"), "an object of 1001 bytes"},
		"larger than a number":   {packOf(1, 3, 1<<63-1, "", "abc"), "overflow"},
		"delta too large":        {packOf(1, 7, maxObject+1, base, small), "an object of 1001 bytes"},
		"delta makes too much":   {packOf(1, 7, uint64(len(delta)), base, delta), "an object of 1001 bytes"},
		"too many":               {packOf(maxObjects+1, 3, 3, "", "abc"), "8000001 objects"},
		"longer than it says":    {packOf(1, 3, 2, "", "abc"), "inflated"},
		"cut short":              {packOf(1, 3, 3, "", "abc")[:25], "EOF"},
		"nothing":                {nil, "empty"},
		"fewer than it promises": {packOf(2, 3, 3, "", "abc"), "zlib"},
	} {
		var out bytes.Buffer
		err := inspect(&out, bytes.NewReader(c.pack), maxObject)
		if c.want == "" && (err != nil || !bytes.Equal(out.Bytes(), c.pack)) {
			t.Errorf("%s: %v; %d bytes of %d came through", name, err, out.Len(), len(c.pack))
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
}

func TestNewTree_Refuses(t *testing.T) {
	for _, names := range [][]string{{""}, {"."}, {".."}, {"a/b"}, {"a\x00"}, {"a", "b", "a"}} {
		var raw []object.TreeEntry
		for _, n := range names {
			raw = append(raw, object.TreeEntry{Name: n})
		}
		if _, err := newTree(raw); err == nil {
			t.Errorf("a directory with %q is accepted", names)
		}
	}
}

func TestState_Note(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	var s State
	s.note(at(1), problemf(Unreachable, "away"))
	s.note(at(2), problemf(Unreachable, "still away"))
	if s.Trouble.Text != "still away" || !s.Trouble.Since.Equal(at(1)) || !s.Checked.Equal(at(2)) || !s.Succeeded.IsZero() {
		t.Errorf("the same trouble: %+v %+v", s, s.Trouble)
	}
	s.note(at(3), problemf(Login, "no"))
	if !s.Trouble.Since.Equal(at(3)) {
		t.Errorf("other trouble begins %v, want 3", s.Trouble.Since)
	}
	s.note(at(3), problemf(Failed, "%s", "\x1b[31mred\n"+strings.Repeat("ä", 1000)))
	if want := " [31mred " + strings.Repeat("ä", 491) + "..."; s.Trouble.Text != want {
		t.Errorf("text of a rude server: %q", s.Trouble.Text)
	}
	s.note(at(4), nil)
	if s.Trouble != nil || !s.Succeeded.Equal(at(4)) {
		t.Errorf("without trouble: %+v", s)
	}
}

func TestTooSmall(t *testing.T) {
	sizes := func(ps []*pack) (s []int64) {
		for _, p := range ps {
			s = append(s, p.size)
		}
		return s
	}
	packs := func(n int, size int64, more ...int64) (ps []*pack) {
		for range n {
			ps = append(ps, &pack{size: size})
		}
		for _, s := range more {
			ps = append(ps, &pack{size: s})
		}
		return ps
	}
	doubling := func() (ps []*pack) {
		for i := range 17 {
			ps = append(ps, packs(0, 0, int64(1)<<(2*i))...)
		}
		return ps
	}
	for _, c := range []struct {
		name  string
		packs []*pack
		want  int
	}{
		{"few", packs(16, 1), 0},
		{"equal", packs(17, 1), 17},
		{"one large stays", packs(16, 1, 1000), 16},
		{"a middle one joins", packs(15, 1, 20, 1000), 16},
		{"each far larger than the last", doubling(), 8},
	} {
		if got := tooSmall(c.packs); len(got) != c.want || !slices.IsSorted(sizes(got)) {
			t.Errorf("%s: takes %v, want %d packs", c.name, sizes(got), c.want)
		}
	}
}

// go-git reads back what writePack wrote, at every length around the borders of the header.
func TestWritePack(t *testing.T) {
	from := memory.NewStorage()
	noise := make([]byte, 1<<21)
	rand.New(rand.NewSource(1)).Read(noise)
	var list []plumbing.Hash
	for _, size := range []int{0, 1, 15, 16, 17, 2047, 2048, 2049, 1<<18 - 1, 1 << 18, 1<<21 - 1} {
		o := &plumbing.MemoryObject{}
		o.SetType(plumbing.BlobObject)
		if _, err := o.Write(noise[:size]); err != nil {
			t.Fatal(err)
		}
		h, err := from.SetEncodedObject(o)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, h)
	}
	var out bytes.Buffer
	if err := writePack(&out, &from.ObjectStorage, list); err != nil {
		t.Fatal(err)
	}
	idx := new(idxfile.Writer)
	p, err := packfile.NewParser(packfile.NewScanner(bytes.NewReader(out.Bytes())), idx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse(); err != nil {
		t.Fatal(err)
	}
	read, err := idx.Index()
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range list {
		if ok, err := read.Contains(h); !ok || err != nil {
			t.Errorf("object %d is not in the pack: %v", i, err)
		}
	}
	if n, err := read.Count(); err != nil || int(n) != len(list) {
		t.Errorf("pack holds %d objects, want %d", n, len(list))
	}
}

func TestExplain(t *testing.T) {
	request := func(err error) error { return &url.Error{Op: "Get", URL: "https://secret@example.org", Err: err} }
	for _, c := range []struct {
		err  error
		kind Kind
		text string
	}{
		{request(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), Unreachable, "SRC cannot be reached: dial: connection refused"},
		{&net.DNSError{Err: "no such host", Name: "example.org"}, Unreachable, "SRC cannot be reached: lookup example.org: no such host"},
		{request(io.EOF), Unreachable, "SRC cannot be reached: EOF"},
		{fmt.Errorf("ssh: handshake failed: %w", io.EOF), Unreachable, "SRC broke off in the middle"},
		{fmt.Errorf("%w: go away", transport.ErrAuthorizationFailed), Login, "the credentials give no access to SRC"},
		{&os.PathError{Op: "write", Path: "pack", Err: syscall.ENOSPC}, Failed, "fetch from SRC: write pack: no space left on device"},
		{fmt.Errorf("look: %w", problemf(Empty, "as it was")), Empty, "as it was"},
	} {
		if p := explain("SRC", c.err); p.kind != c.kind || p.Error() != c.text {
			t.Errorf("%v: got %s %q, want %s %q", c.err, p.kind, p.Error(), c.kind, c.text)
		}
	}
}

// The pause is the interval within a tenth, and grows only while the credentials are refused.
func TestMirror_Pause(t *testing.T) {
	for _, c := range []struct {
		name     string
		trouble  *Trouble
		min, max time.Duration
	}{
		{"well", nil, 54 * time.Second, 66 * time.Second},
		{"server away for a day", &Trouble{Kind: Unreachable, Since: time.Now().Add(-24 * time.Hour)}, 54 * time.Second, 66 * time.Second},
		{"credentials refused just now", &Trouble{Kind: Login, Since: time.Now()}, 54 * time.Second, 66 * time.Second},
		{"credentials refused for ten minutes", &Trouble{Kind: Login, Since: time.Now().Add(-10 * time.Minute)}, 265 * time.Second, 335 * time.Second},
		{"credentials refused for a day", &Trouble{Kind: Login, Since: time.Now().Add(-24 * time.Hour)}, 1080 * time.Second, 1320 * time.Second},
	} {
		m := &Mirror{cfg: Config{Interval: time.Minute}, state: State{Trouble: c.trouble}}
		for range 100 {
			if got := m.pause(); got < c.min || got > c.max {
				t.Fatalf("%s: pause of %s, want %s to %s", c.name, got, c.min, c.max)
			}
		}
	}
}
