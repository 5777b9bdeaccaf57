package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// unpacked is a layer on disk; a mistake ends the test.
func unpacked(t *testing.T, members ...member) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	data := pack(t, members...)
	if _, err := unpack(t.Context(), root, bytes.NewReader(data), digestOf(data), defaultLimits()); err != nil {
		t.Fatal(err)
	}
	return root
}

func folderAt(name string, mode int64, at time.Time) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode, ModTime: at}, ""}
}

func TestApply_ModesOwnersTimes(t *testing.T) {
	at := time.Unix(1_000_000_000, 0)
	file := func(name string, mode int64, uid int, when time.Time) member {
		return member{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Uid: uid, Gid: uid, ModTime: when}, "x"}
	}
	root := unpacked(t,
		folderAt("d", 0o1777, at), file("d/setuid", 0o4755, 0, at), file("d/setgid", 0o2755, 7, at), file("d/none", 0o400, 0, at),
		file("d/before", 0o644, 0, time.Unix(-5, 0)), file("d/far", 0o644, 0, time.Unix(1<<40, 0)),
		member{tar.Header{Name: "d/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow", ModTime: at}, ""},
		member{tar.Header{Name: "d/pipe", Typeflag: tar.TypeFifo, Mode: 0o620, ModTime: at}, ""},
		member{tar.Header{Name: "d/hard", Typeflag: tar.TypeLink, Linkname: "d/setuid", Mode: 0o777, Uid: 9}, ""},
	)
	for name, want := range map[string]struct {
		mode os.FileMode
		uid  int
		at   time.Time
	}{
		"d":        {os.ModeDir | os.ModeSticky | 0o777, 0, at},
		"d/setuid": {os.ModeSetuid | 0o755, 0, at},
		"d/hard":   {os.ModeSetuid | 0o755, 0, at}, // it is the same file
		"d/setgid": {os.ModeSetgid | 0o755, 7, at},
		"d/none":   {0o400, 0, at},
		"d/before": {0o644, 0, time.Unix(0, 0)},
		"d/far":    {0o644, 0, time.Unix(0, 0)},
		"d/link":   {os.ModeSymlink | 0o777, 0, at},
		"d/pipe":   {os.ModeNamedPipe | 0o620, 0, at},
	} {
		st, err := os.Lstat(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
			continue
		}
		sys, _ := st.Sys().(*syscall.Stat_t)
		if st.Mode() != want.mode || !st.ModTime().Equal(want.at) || os.Geteuid() == 0 && int(sys.Uid) != want.uid {
			t.Errorf("%s: mode %v, owner %d, %v; want %v, %d, %v", name, st.Mode(), sys.Uid, st.ModTime(), want.mode, want.uid, want.at)
		}
	}
}

func TestApply_LaterEntriesTakeThePlace(t *testing.T) {
	root := unpacked(t,
		regular("a", "file"), folderAt("a", 0o755, time.Now()), regular("a/in", "1"), // a folder over a file
		regular("a/in", "22"),                                                              // a file over a file
		folderAt("b", 0o755, time.Now()), regular("b/in", "x"), regular("b", "now a file"), // a file over a folder
		folderAt("c", 0o700, time.Now()), regular("c/one", "1"), folderAt("c", 0o750, time.Now()), regular("c/two", "2"), // merged
		// The folder that was written into last becomes a link: what follows goes where that leads, within.
		folderAt("d", 0o755, time.Now()), regular("d/old", "x"), symlink("d", "/e"), regular("d/new", "y"),
		regular("deep/in/folders/that/nobody/names", "z"),
	)
	for name, want := range map[string]string{"a/in": "22", "b": "now a file", "c/one": "1", "c/two": "2", "e/new": "y", "deep/in/folders/that/nobody/names": "z"} {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(root, "e", "old")); err == nil {
		t.Error("e/old is there")
	}
	if st, err := os.Stat(filepath.Join(root, "c")); err != nil || st.Mode().Perm() != 0o750 {
		t.Errorf("c: %v, %v", st.Mode(), err)
	}
}

// A folder whose time is still to be set may be replaced, and be a link that leads out of the layer at the end.
func TestApply_FolderTimesStayWithin(t *testing.T) {
	base := t.TempDir()
	root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside", "in")
	for _, dir := range []string{root, outside} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(outside)
	if err != nil {
		t.Fatal(err)
	}
	at, later := time.Unix(1_000_000_000, 0), time.Unix(1_500_000_000, 0)
	data := pack(t,
		folderAt("kept", 0o755, at), folderAt("a", 0o755, at), folderAt("a/in", 0o755, at), symlink("a", filepath.Dir(outside)),
		folderAt("b", 0o755, at), folderAt("b/in", 0o755, at), symlink("b", "../outside"),
		folderAt("f", 0o755, at), member{tar.Header{Name: "f", Typeflag: tar.TypeReg, ModTime: later}, "a file now"},
	)
	if _, err := unpack(t.Context(), root, bytes.NewReader(data), digestOf(data), defaultLimits()); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(outside); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the folder outside is of %v, %v; want %v as before", after.ModTime(), err, before.ModTime())
	}
	for name, want := range map[string]time.Time{"kept": at, "f": later} {
		if st, err := os.Stat(filepath.Join(root, name)); err != nil || !st.ModTime().Equal(want) {
			t.Errorf("%s is of %v, %v; want %v", name, st.ModTime(), err, want)
		}
	}
}

func TestApply_Refused(t *testing.T) {
	long := strings.Repeat("x", 300)
	deep := strings.Repeat("d/", 3000) + "f"
	chain := []member{symlink("l0", ".")}
	for i := 1; i < 300; i++ {
		chain = append(chain, symlink(fmt.Sprintf("l%d", i), fmt.Sprintf("l%d/l%d", i-1, i-1)))
	}
	for _, c := range []struct {
		name    string
		members []member
		want    string
	}{
		{"a name too long", []member{regular(long, "")}, "too long"},
		{"a path too long", []member{regular(deep, "")}, "too long"},
		{"a chain of links without end", append(chain, regular("l299/x", "")), "too many l"},
		{"a link to itself", []member{symlink("s", "s"), regular("s/x", "")}, "too many l"},
		{"a file as a folder", []member{regular("a", "x"), regular("a/b", "y")}, "folder is a file"},
		{"what was taken away as a folder", []member{regular(".wh.a", ""), regular("a/b", "y")}, "folder is a file"},
		{"a hard link to nothing", []member{hardlink("x", "nothing")}, "no such file"},
		{"a hard link to a folder", []member{folderAt("d", 0o755, time.Now()), hardlink("x", "d")}, "link"},
		{"an unknown type", []member{{tar.Header{Name: "x", Typeflag: 'Q'}, ""}}, "unknown type"},
		{"taking away the folder itself", []member{regular("a/.wh..", "")}, "no name of a file"},
		{"taking away the root", []member{regular(".wh..", "")}, "no name of a file"},
		{"taking away what is above", []member{regular("a/.wh...", "")}, "no name of a file"},
		{"a huge attribute", []member{{tar.Header{Name: "x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.user.a": strings.Repeat("v", mostAttribute+1)}}, ""}}, "at most 65536"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.name, "what was taken") && os.Geteuid() != 0 {
				t.Skip("only root may make a whiteout")
			}
			root := filepath.Join(t.TempDir(), "root")
			if err := os.Mkdir(root, 0o755); err != nil {
				t.Fatal(err)
			}
			data := pack(t, c.members...)
			_, err := unpack(t.Context(), root, bytes.NewReader(data), digestOf(data), defaultLimits())
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 1000 {
				t.Errorf("got %v, want %v with %q", err, ErrCorrupt, c.want)
			}
			if st, err := os.Lstat(root); err != nil || !st.IsDir() {
				t.Errorf("the root itself: %v, %v", st, err)
			}
			if err := os.RemoveAll(root); err != nil {
				t.Errorf("it cannot be removed again: %v", err)
			}
		})
	}
}

func TestApply_Attributes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may set file capabilities")
	}
	const capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	all := map[string]string{
		"security.capability": capability, "user.note": "kept",
		"security.selinux": "system_u:object_r:shadow_t:s0", "security.ima": "x", "security.evm": "x",
		"trusted.overlay.redirect": "/etc", "trusted.overlay.opaque": "y", "user.overlay.redirect": "/etc", "trusted.other": "x",
	}
	records := map[string]string{}
	for k, v := range all {
		records[paxAttribute+k] = v
	}
	root := unpacked(t, member{tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o755, PAXRecords: records}, "x"},
		member{tar.Header{Name: "s", Typeflag: tar.TypeSymlink, Linkname: "f", PAXRecords: map[string]string{paxAttribute + "user.note": "x"}}, ""})
	list := make([]byte, 4096)
	n, err := unix.Llistxattr(filepath.Join(root, "f"), list)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.FieldsFunc(string(list[:n]), func(r rune) bool { return r == 0 })
	slices.Sort(got)
	if want := []string{"security.capability", "user.note"}; !slices.Equal(got, want) {
		t.Errorf("attributes are %q, want %q", got, want)
	}
}

// sparseTar is a layer with one file in the old GNU form: a hole of so many bytes behind one byte.
func sparseTar(size int64) []byte {
	var b bytes.Buffer
	h := make([]byte, 512)
	copy(h, "hole")
	copy(h[100:], "0000644\x00")
	copy(h[108:], "0000000\x00")
	copy(h[116:], "0000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00", 512))
	copy(h[136:], "00000000000\x00")
	h[156] = tar.TypeGNUSparse
	copy(h[257:], "ustar  \x00")
	number := func(at int, v int64) { // base 256, as GNU tar writes large ones
		for i := 11; i >= 0; i-- {
			h[at+i] = byte(v)
			v >>= 8
		}
		h[at] |= 0x80
	}
	number(386, 0)
	number(386+12, 512)
	number(386+24, size)
	number(386+36, 0)
	number(483, size)
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	b.Write(h)
	b.WriteString(strings.Repeat("x", 512))
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

// A sparse file is one here too, however large it claims to be, and zeros take no room.
func TestApply_HolesTakeNoRoom(t *testing.T) {
	const size = 10 << 30
	root := t.TempDir()
	data := sparseTar(size)
	begun := time.Now()
	takes, err := unpack(t.Context(), root, bytes.NewReader(data), digestOf(data), defaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Lstat(filepath.Join(root, "hole"))
	if err != nil {
		t.Fatal(err)
	}
	sys, _ := st.Sys().(*syscall.Stat_t)
	if st.Size() != size || sys.Blocks*512 > 1<<20 || takes.bytes != size {
		t.Errorf("%d bytes on disk for one of %d that counts as %d", sys.Blocks*512, st.Size(), takes.bytes)
	}
	t.Logf("10 GiB of hole in %v", time.Since(begun))
	lim := defaultLimits()
	lim.layer = 1 << 30
	if _, err := unpack(t.Context(), t.TempDir(), bytes.NewReader(data), digestOf(data), lim); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "than allowed") {
		t.Errorf("beyond the bound: got %v, want that it is larger than allowed", err)
	}
	root = unpacked(t, regular("f", strings.Repeat("\x00", 200_000)+"end"), regular("z", strings.Repeat("\x00", 70_000)), regular("e", ""))
	for name, want := range map[string]string{"f": strings.Repeat("\x00", 200_000) + "end", "z": strings.Repeat("\x00", 70_000), "e": ""} {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
}

// manyTar is a layer of so many empty files, made while it is read.
func manyTar(n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		tw := tar.NewWriter(w)
		for i := range n {
			if tw.WriteHeader(&tar.Header{Name: fmt.Sprintf("d%d/file-with-some-name-%d", i/1000, i), Typeflag: tar.TypeReg, Mode: 0o644}) != nil {
				return // the reader has enough
			}
		}
		tw.Close()
		w.Close()
	}()
	return r
}

// A million files stop at the bound, and cost no memory on the way there.
func TestUnpack_AMillionFiles(t *testing.T) {
	lim := defaultLimits()
	lim.entries = 5_000
	root := t.TempDir()
	peak := heapWhile(t, func() {
		_, err := unpack(t.Context(), root, manyTar(1_000_000), "sha256:"+strings.Repeat("0", 64), lim)
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "more files than allowed") {
			t.Errorf("got %v, want more files than allowed", err)
		}
	})
	if peak > 16<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
}

// What is remembered of folders is bounded however long their paths are.
func TestApply_RemembersFewLongFolders(t *testing.T) {
	a := &applier{root: t.TempDir()}
	path := filepath.Join(a.root, strings.Repeat(strings.Repeat("d", 240)+"/", 14))
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	h := folderAt("d", 0o755, time.Now()).Header
	for range 3 * mostFolderTimes / len(path) {
		if err := a.dress(path, &h); err != nil {
			t.Fatal(err)
		}
	}
	bytes := 0
	for _, f := range a.folders {
		bytes += len(f.path)
	}
	if bytes > mostFolderTimes || bytes < mostFolderTimes/2 {
		t.Errorf("%d bytes of paths are remembered, want at most %d", bytes, mostFolderTimes)
	}
}

// A path of any length costs no stack: each part of it would be a call in the search for links.
func TestUnpack_EndlessPaths(t *testing.T) {
	long := strings.Repeat("d/", 450_000) + "f"
	for _, m := range []member{regular(long, ""), hardlink("x", long)} {
		data := pack(t, m)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := unpack(t.Context(), t.TempDir(), bytes.NewReader(data), digestOf(data), defaultLimits())
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "too long") || len(err.Error()) > 1000 {
			t.Errorf("got %v, want %v: too long", err, ErrCorrupt)
		}
		if after.StackInuse > before.StackInuse+8<<20 {
			t.Errorf("stacks grew by %d MiB", (after.StackInuse-before.StackInuse)>>20)
		}
	}
}

// heapWhile gives by how much the heap in use grew at most.
func heapWhile(t *testing.T, f func()) uint64 {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, uint64(0)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
	}()
	f()
	close(done)
	<-watched
	return most - min(before, most)
}

func TestRoom_KeepsSomeOfTheDisk(t *testing.T) {
	if got := spareOf(100 << 30); got != 1<<30 {
		t.Errorf("of 100 GiB: %d are kept", got)
	}
	if got := spareOf(5000); got != 100 {
		t.Errorf("of 5000 bytes: %d are kept", got)
	}
	r := &room{dir: t.TempDir()}
	if err := r.take(1 << 60); !errors.Is(err, ErrStorage) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("more than any disk: got %v, want %v", err, ErrStorage)
	}
	if err := r.take(1); err != nil {
		t.Errorf("one byte: %v", err)
	}
}
