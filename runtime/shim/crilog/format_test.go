package crilog

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 80_000_000, time.FixedZone("x", 3600))

func TestFormat(t *testing.T) {
	const head = "2026-03-04T04:06:07.08Z stdout "
	long := strings.Repeat("x", MaxLine)
	tests := []struct {
		name  string
		data  string
		end   End
		want  string
		taken int
	}{
		{"nothing", "", Finish, "", 0},
		{"lines", "a\nb\n", Keep, head + "F a\n" + head + "F b\n", 4},
		{"empty line", "\n", Keep, head + "F \n", 1},
		{"unfinished is kept", "a\nbc", Keep, head + "F a\n", 2},
		{"unfinished is cut", "bc", Cut, head + "P bc\n", 2},
		{"unfinished at the end", "bc", Finish, head + "F bc\n", 2},
		{"exactly the longest", long + "\n", Keep, head + "F " + long + "\n", MaxLine + 1},
		{"longest without newline waits", long, Keep, "", 0},
		{"too long", long + "yz\n", Keep, head + "P " + long + "\n" + head + "F yz\n", MaxLine + 3},
		{"carriage return stays", "a\r\n", Keep, head + "F a\r\n", 3},
	}
	for _, tt := range tests {
		got, taken := Format(nil, Stdout, at, []byte(tt.data), tt.end)
		if string(got) != tt.want || taken != tt.taken {
			t.Errorf("%s: Format(%.20q, %d) = %.80q, %d, want %.80q, %d", tt.name, tt.data, tt.end, got, taken, tt.want, tt.taken)
		}
	}
}

func TestFormat_StopsAtALimit(t *testing.T) {
	data := bytes.Repeat([]byte{'\n'}, 1<<20)
	var calls, lines int
	for len(data) > 0 {
		text, taken := Format(nil, Stderr, at, data, Keep)
		if len(text) > maxText+MaxLine+64 {
			t.Fatalf("one call gave %d bytes of text", len(text))
		}
		lines += bytes.Count(text, []byte{'\n'})
		data = data[taken:]
		calls++
	}
	if lines != 1<<20 || calls < 2 {
		t.Errorf("got %d lines in %d calls, want %d", lines, calls, 1<<20)
	}
}

// TestFormat_Join splits random text at every place and puts it together again.
func TestFormat_Join(t *testing.T) {
	data := []byte("one\n\ntwo" + strings.Repeat("long", MaxLine) + "\nend")
	for _, chunk := range []int{1, 7, 4096, MaxLine, MaxLine + 1, 65536} {
		var kept, log []byte
		for rest := data; len(rest) > 0; {
			n := min(chunk, len(rest))
			kept = append(kept, rest[:n]...)
			rest = rest[n:]
			text, taken := Format(nil, Stdout, at, kept, Keep)
			log = append(log, text...)
			kept = kept[taken:]
		}
		text, _ := Format(nil, Stdout, at, kept, Finish)
		if got := join(t, append(log, text...)); got != string(data)+"\n" {
			t.Errorf("in chunks of %d: got %d bytes back, want %d", chunk, len(got), len(data)+1)
		}
	}
}

func join(t *testing.T, log []byte) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(string(log)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(parts) != 4 {
			t.Fatalf("line %.60q has no four parts", line)
		}
		out.WriteString(parts[3])
		if parts[2] == "F" {
			out.WriteByte('\n')
		}
	}
	return out.String()
}
