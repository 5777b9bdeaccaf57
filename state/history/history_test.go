package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"writ/state"
)

var start = time.Date(2026, 11, 21, 9, 0, 0, 7, time.FixedZone("somewhere", 3600))

func at(seconds int) state.Stage {
	return state.Stage{At: start.Add(time.Duration(seconds) * time.Second)}
}

func open(t *testing.T, path string) *History {
	t.Helper()
	h, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func record(t *testing.T, h *History, p state.Progress) {
	t.Helper()
	if err := h.Record(p); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// told is what people are shown, as text.
func told(list []state.Progress) string {
	var b strings.Builder
	for i, p := range list {
		fmt.Fprintf(&b, "%s %s %s %d/%d/%d\n", p.Commit, p.Outcome(i == 0), p.Took(), p.Created, p.Changed, p.Deleted)
	}
	return b.String()
}

func TestHistory_SurvivesRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	h := open(t, path)
	a := state.Progress{Commit: "a", Subject: "first", Author: "A <a@example.com>", Branch: "main", Committed: start, Seen: at(0)}
	record(t, h, a)
	a.Verified, a.Rendered = at(0), at(1)
	record(t, h, a)
	a.Adopted, a.Created = at(2), 5
	record(t, h, a)
	b := state.Progress{Commit: "b", Seen: at(10), Verified: at(10), Rendered: state.Stage{Reason: "web.yaml:3: no such field"}}
	record(t, h, b)
	a.Healthy = at(12) // told after another was seen
	record(t, h, a)
	const want = "b stopped 0s 0/0/0\na healthy 12s 5/0/0\n"
	if got := told(h.List(0)); got != want {
		t.Fatalf("history:\n%swant\n%s", got, want)
	}
	before := h.List(0)
	if before[1].Author != "A <a@example.com>" || !before[1].Committed.Equal(start) || before[0].Rendered.Reason != "web.yaml:3: no such field" {
		t.Errorf("history %+v", before)
	}
	killed := filepath.Join(t.TempDir(), "history")
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(killed, append(data, `{"commit":"c","seen":{"at":`...), 0o600) // torn
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, killed} {
		h := open(t, path)
		if got := h.List(0); !reflect.DeepEqual(got, before) {
			t.Errorf("after a restart %+v, want %+v", got, before)
		}
		record(t, h, state.Progress{Commit: "b", Seen: at(60), Verified: at(60)}) // seen anew, nothing taken back
		record(t, h, state.Progress{Commit: "a", Seen: at(90)})                   // the branch went back
		const want = "a under way 0s 0/0/0\nb stopped 0s 0/0/0\na healthy 12s 5/0/0\n"
		if got := told(h.List(0)); got != want {
			t.Errorf("history:\n%swant\n%s", got, want)
		}
		if got := h.List(1); len(got) != 1 || got[0].Commit != "a" || !got[0].Seen.At.Equal(start.Add(90*time.Second)) {
			t.Errorf("List(1): %+v", got)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("file %v, %v; want mode 0600", info, err)
		}
	}
}

func TestHistory_NothingNewIsFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	h := open(t, path)
	p := state.Progress{Commit: "a", Seen: at(0)}
	record(t, h, p)
	before := size(t, path)
	if before == 0 {
		t.Fatal("nothing is on disk")
	}
	for range 100 {
		record(t, h, p)
	}
	if got := size(t, path); got != before {
		t.Errorf("the file grew from %d to %d bytes", before, got)
	}
	p.Healthy.Reason = "Pod/default/a is waiting"
	record(t, h, p)
	if got := size(t, path); got == before {
		t.Error("a reason is not on disk")
	}
}

// However long the texts and many the commits, the file stays below its limit and the newest are kept.
func TestHistory_IsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	h, err := Open(Config{Path: path, Bytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	const limit = 4 * longestLine
	long := state.Stage{Reason: strings.Repeat("\x01é<", 50_000) + "\xff"}
	largest := int64(0)
	for i := range 300 {
		record(t, h, state.Progress{Commit: fmt.Sprint(i), Subject: long.Reason, Author: long.Reason, Branch: long.Reason,
			Seen: at(i), Verified: long, Rendered: long, Adopted: long, Healthy: long})
		largest = max(largest, size(t, path))
	}
	if largest > limit || largest < limit/2 {
		t.Errorf("the file had up to %d bytes, the limit is %d", largest, limit)
	}
	list := h.List(0)
	if len(list) < 3 || len(list) > 290 {
		t.Fatalf("%d commits are kept", len(list))
	}
	for i, p := range list {
		if want := fmt.Sprint(299 - i); p.Commit != want {
			t.Fatalf("entry %d is commit %s, want %s", i, p.Commit, want)
		}
	}
	if got := list[0].Healthy.Reason; len(got) > longestReason || !strings.HasSuffix(got, " ...") {
		t.Errorf("reason of %d bytes, ends %q", len(got), got[len(got)-8:])
	}
	h.Close()
	if again := open(t, path).List(3); !reflect.DeepEqual(again, list[:3]) {
		t.Error("other commits after a restart")
	}
}

func TestHistory_PassesOverWhatItCannotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	text := "garbage\n" + `{"commit":"a","seen":{"at":"2026-11-21T09:00:00Z"},"later":[1]}` + "\n" +
		strings.Repeat("x", 3*longestLine) + "\n\x00\x00\n{}\n" + `{"commit":"b"}` + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := told(open(t, path).List(0)), "b under way 0s 0/0/0\na superseded 0s 0/0/0\n"; got != want {
		t.Errorf("history:\n%swant\n%s", got, want)
	}
}

func TestHistory_Refusals(t *testing.T) {
	if _, err := Open(Config{}); err == nil {
		t.Error("Open without a file: no error")
	}
	if _, err := Open(Config{Path: filepath.Join(t.TempDir(), "no", "such")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open without a folder: %v", err)
	}
	h := open(t, filepath.Join(t.TempDir(), "history"))
	if err := h.Record(state.Progress{}); err == nil {
		t.Error("Record without a commit: no error")
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Record(state.Progress{Commit: "a"}); !errors.Is(err, fs.ErrClosed) || len(h.List(0)) != 1 {
		t.Errorf("Record after Close: %v, %v", err, h.List(0))
	}
}
