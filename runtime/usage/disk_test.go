package usage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"writ/runtime/pressure"
)

// took is what the kernel says that a file takes.
func took(t *testing.T, name string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func TestDisk(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "big")
	write := func(name string, size int) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, make([]byte, size), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := os.WriteFile(outside, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	want := pressure.Use{}
	count := func(path string) {
		want = pressure.Use{Bytes: want.Bytes + took(t, path), Inodes: want.Inodes + 1}
	}
	a := write("a", 10_000)
	b := write("sub/b", 100)
	if err := errors.Join(os.Link(a, filepath.Join(dir, "sub", "again")), os.Symlink(outside, filepath.Join(dir, "link")), os.Symlink(filepath.Dir(outside), filepath.Join(dir, "folder"))); err != nil {
		t.Fatal(err)
	}
	sparse := write("sparse", 0)
	if err := os.Truncate(sparse, 10<<30); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, a, b, filepath.Join(dir, "sub"), filepath.Join(dir, "link"), filepath.Join(dir, "folder"), sparse} {
		count(name)
	}
	got, err := Disk(t.Context(), dir, true)
	if err != nil || got != want {
		t.Errorf("Disk = %+v, %v, want %+v", got, err, want)
	}
	if got, err := Disk(t.Context(), filepath.Join(dir, "missing"), true); err != nil || got != (pressure.Use{}) {
		t.Errorf("Disk of nothing = %+v, %v", got, err)
	}
	if _, err := Disk(t.Context(), filepath.Join(dir, "folder"), false); err == nil {
		t.Error("Disk follows a link")
	}
}

// Directories nested deeper than a path can tell, and than descriptors there are.
func TestDisk_Deep(t *testing.T) {
	const depth = 3000
	dir := t.TempDir()
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range depth {
		if err := unix.Mkdirat(at, "d", 0o700); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 { // something to come back to
			if err := unix.Mkdirat(at, "e", 0o700); err != nil {
				t.Fatal(err)
			}
		}
		next, err := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		unix.Close(at)
		if err != nil {
			t.Fatal(err)
		}
		at = next
	}
	unix.Close(at)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	less := before
	less.Cur = uint64(len(open) + walkDepth + 16)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &less); err != nil {
		t.Fatal(err)
	}
	got, err := Disk(t.Context(), dir, true)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if want := int64(1 + depth + depth/10); err != nil || got.Inodes != want {
		t.Errorf("Disk = %+v, %v, want %d inodes", got, err, want)
	}
}

// Reads that end early, as signals let them, tell of "." alone at first: that is not the end of the directory.
func TestWalk_ShortReads(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/b/c", "d", "e/f"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	const oneName = 40 // bytes
	w := walk{ctx: t.Context(), links: map[uint64]bool{}, buf: make([]byte, oneName)}
	defer w.close()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.enter(fd), w.all()); err != nil || w.use.Inodes != 7 {
		t.Errorf("%+v, %v, want 7 inodes", w.use, err)
	}
}

// Wide directories far above the one that is read take no memory, and nothing of them is counted twice or left out.
func TestDisk_WideAndDeep(t *testing.T) {
	const wide, deep = 2, walkDepth + 8
	const files = 1500 // more than are read at once
	dir := t.TempDir()
	w := walk{ctx: t.Context(), links: map[uint64]bool{}, buf: make([]byte, 32<<10)}
	defer w.close()
	name := dir
	for i := range deep {
		if i < wide {
			for n := range files {
				if err := os.WriteFile(filepath.Join(name, fmt.Sprint(n)), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.enter(fd); err != nil {
			t.Fatal(err)
		}
		name = filepath.Join(name, "d")
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i < len(w.stack)-walkDepth; i++ { // the top one stays open
		if f := w.stack[i]; f.fd >= 0 || len(f.entries) > 0 {
			t.Errorf("directory %d holds descriptor %d and %d names while one %d below it is read", i, f.fd, len(f.entries), len(w.stack)-1-i)
		}
	}
	if got, err := Disk(t.Context(), dir, false); err != nil || got.Inodes != wide*files+deep+1 {
		t.Errorf("Disk = %+v, %v, want %d inodes", got, err, wide*files+deep+1)
	}
}

func TestDisk_Ends(t *testing.T) {
	dir := t.TempDir()
	for i := range walkChunk + 1 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Disk(ctx, dir, true); !errors.Is(err, context.Canceled) {
		t.Errorf("Disk = %v, want that it is ended", err)
	}
}

// BenchmarkDisk is one emptyDir of 10,000 files in 100 folders.
func BenchmarkDisk(b *testing.B) {
	dir := b.TempDir()
	for i := range 10_000 {
		name := filepath.Join(dir, fmt.Sprint(i%100), fmt.Sprint(i))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte("x"), 0o600)); err != nil {
			b.Fatal(err)
		}
	}
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Disk(b.Context(), dir, true); err != nil {
			b.Fatal(err)
		}
	}
	if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
		b.Fatal(err)
	}
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(cpu)/float64(b.N)/1e6, "cpu-ms/op")
}
