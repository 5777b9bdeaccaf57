package sync

import (
	"bytes"
	"io"
	"net/textproto"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// Trailers decide what a commit may delete: whatever its message is, every key has the form that is looked
// up, a value is one line, and what stands above the last paragraph or in the subject is none.
func FuzzParseTrailers(f *testing.F) {
	for _, seed := range []string{"s\n\nA: 1\nB: 2\n   3\na: 4\n", "s\n\nsee below\nAllow-Delete: all\nSigned-off-by: T\n", "s\r\n\r\nA: 1\r\n", "s\n\n(cherry picked from commit 1)\nA:\n", "Allow-Delete: all", "s\n\n# x\n A: 1\n\t\nA : 2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		trailers := parseTrailers(message)
		for key, values := range trailers {
			if key != textproto.CanonicalMIMEHeaderKey(key) || key == "" || strings.ContainsAny(key, ": \t\n\r") || len(values) == 0 {
				t.Errorf("%q has the key %q with %d values", message, key, len(values))
			}
			for _, v := range values {
				if v != strings.TrimSpace(v) || strings.Contains(v, "\n") {
					t.Errorf("%q has the value %q", message, v)
				}
			}
		}
		if again := parseTrailers("Allow-Delete: all\n\nAllow-Delete: all\n\n" + strings.TrimLeft(message, " \t\r\n") + "\n\nend"); len(again["Allow-Delete"]) > 0 {
			t.Errorf("%q takes trailers from above its last paragraph", message)
		}
	})
}

// A pack from a server is refused or taken, whatever it is, and read no further than it says.
func FuzzInspect(f *testing.F) {
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e"))
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\xb0\x0ax\x9c\x03\x00\x00\x00\x00\x01"))
	f.Add([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		if err := inspect(&out, bytes.NewReader(data), 1<<20); err == nil && !bytes.Equal(out.Bytes(), data) {
			t.Errorf("%d of %d bytes were handed on", out.Len(), len(data))
		}
		_ = inspect(io.Discard, io.LimitReader(bytes.NewReader(data), int64(len(data))/2), 16)
	})
}

// Rules of what to leave out come from the repository too.
func FuzzIgnoreRules(f *testing.F) {
	for _, seed := range []string{"*.tmp\nbuild/\n!keep\n/a/**/b", "**/**/**/x", "[", "\\", "!", "a[!b-", "# c\n \n"} {
		f.Add(seed, "a/b/c.tmp")
	}
	f.Fuzz(func(t *testing.T, rules, name string) {
		if len(rules) > 500 || len(name) > 200 {
			return
		}
		patterns := ignoreRules([]byte(rules), nil)
		gitignore.NewMatcher(patterns).Match(strings.Split(name, "/"), false)
	})
}
