package crilog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLog_RotatesAndKeepsSoMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ns_pod_uid", "app", "0.log")
	log := New(Config{Path: path, MaxSize: 100, MaxFiles: 3})
	defer log.Close()
	for i := range 10 {
		if err := log.Append([]byte(fmt.Sprintf("%-59d\n", i)), 60, nil); err != nil {
			t.Fatal(err)
		}
	}
	files := append(Rotated(path), path)
	if len(files) != 3 {
		t.Fatalf("kept %q, want 3 files", files)
	}
	for i, file := range files {
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%-59d\n", 7+i); string(got) != want {
			t.Errorf("%s holds %q, want %q", file, got, want)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != DefaultMode {
		t.Errorf("mode of the log is %v (%v), want %o", info.Mode(), err, DefaultMode)
	}
}

func TestLog_SingleFileStartsOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	log := New(Config{Path: path, MaxSize: 10, MaxFiles: 1})
	defer log.Close()
	for _, text := range []string{"first..\n", "second.\n"} {
		if err := log.Append([]byte(text), len(text), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := os.ReadFile(path); string(got) != "second.\n" {
		t.Errorf("log holds %q, want the second line only", got)
	}
	if old := Rotated(path); len(old) != 0 {
		t.Errorf("rotated files %q, want none", old)
	}
}

func TestLog_Rewind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	var begun Position
	first := New(Config{Path: path})
	for _, text := range []string{"kept\n", "torn\n"} {
		if err := first.Append([]byte(text), len(text), func(at Position) { begun = at }); err != nil {
			t.Fatal(err)
		}
	}
	first.Close()
	second := New(Config{Path: path})
	defer second.Close()
	if err := second.Rewind(begun); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "kept\n" {
		t.Errorf("after Rewind the log holds %q, want the first line", got)
	}
	begun.Inode++
	begun.Offset = 0
	if err := second.Rewind(begun); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "kept\n" {
		t.Errorf("Rewind to another file's position changed it: %q", got)
	}
}

func TestLog_FollowsItsPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	log := New(Config{Path: path})
	defer log.Close()
	mustAppend(t, log, "a\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, log, "b\n")
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, log, "c\n")
	if got, _ := os.ReadFile(path); string(got) != "c\n" {
		t.Errorf("log holds %q, want %q", got, "c\n")
	}
	if got, _ := os.ReadFile(path + ".moved"); string(got) != "b\n" {
		t.Errorf("moved log holds %q, want %q", got, "b\n")
	}
}

// TestLog_CountsWhatItCannotWrite uses /dev/full, which refuses every write as
// a full disk does.
func TestLog_CountsWhatItCannotWrite(t *testing.T) {
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("no /dev/full: %v", err)
	}
	log := New(Config{Path: filepath.Join(t.TempDir(), "0.log")})
	log.file = file
	defer log.Close()
	if err := log.Append([]byte("line\n"), 5, nil); err == nil {
		t.Error("Append to a full disk gave no error")
	}
	if log.Dropped() != 5 {
		t.Errorf("dropped %d bytes, want 5", log.Dropped())
	}
}

func TestLog_UnwritableIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "app")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil { // a file where a folder must be
		t.Fatal(err)
	}
	log := New(Config{Path: filepath.Join(blocked, "0.log")})
	defer log.Close()
	if err := log.Append([]byte("a\n"), 2, nil); err == nil {
		t.Error("Append below a file gave no error")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, log, "b\n")
	if got, _ := os.ReadFile(filepath.Join(blocked, "0.log")); string(got) != "b\n" || log.Dropped() != 2 {
		t.Errorf("log holds %q and %d dropped, want %q and 2", got, log.Dropped(), "b\n")
	}
}

func mustAppend(t *testing.T, log *Log, text string) {
	t.Helper()
	if err := log.Append([]byte(text), len(text), nil); err != nil {
		t.Fatalf("append %q: %v", strings.TrimSpace(text), err)
	}
}
