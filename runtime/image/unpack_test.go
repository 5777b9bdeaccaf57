package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// member is a tar entry with its content.
type member struct {
	tar.Header
	data string
}

func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, m := range members {
		h := m.Header
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		h.Size = int64(len(m.data))
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(m.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func regular(name, data string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeReg}, data}
}
func symlink(name, to string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}, ""}
}
func hardlink(name, to string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}, ""}
}

// TestUnpack_HostileLayers: whatever a layer holds, nothing outside its folder
// changes or is read.
func TestUnpack_HostileLayers(t *testing.T) {
	for _, c := range []struct {
		name    string
		members func(outside string) []member
		corrupt bool
	}{
		{"dots", func(string) []member { return []member{regular("../../outside/secret", "evil")} }, true},
		{"dots inside", func(string) []member { return []member{regular("a/../../../outside/secret", "evil")} }, true},
		{"absolute path", func(out string) []member { return []member{regular(out+"/secret", "evil")} }, false},
		{"through an absolute link", func(out string) []member {
			return []member{symlink("link", out), regular("link/secret", "evil"), regular("link/new", "evil")}
		}, false},
		{"through a relative link", func(string) []member {
			return []member{symlink("link", "../../outside"), regular("link/secret", "evil"), regular("link/new", "evil")}
		}, false},
		{"through a chain of links", func(string) []member {
			return []member{symlink("a", ".."), symlink("b", "a/.."), symlink("c", "b/outside"), regular("c/secret", "evil")}
		}, false},
		{"over a link", func(out string) []member { return []member{symlink("x", out+"/secret"), regular("x", "evil")} }, false},
		{"hard link to outside", func(out string) []member { return []member{hardlink("x", out+"/secret"), regular("x", "evil")} }, true},
		{"hard link by dots", func(string) []member { return []member{hardlink("x", "../../outside/secret")} }, true},
		{"hard link through a link", func(out string) []member {
			return []member{symlink("d", out), hardlink("x", "d/secret"), regular("x", "evil")}
		}, true},
		{"hard link to a link", func(out string) []member {
			return []member{symlink("s", out+"/secret"), hardlink("x", "s"), regular("x", "evil")}
		}, false},
		{"whiteout through a link", func(out string) []member { return []member{symlink("d", out), regular("d/.wh.secret", "")} }, false},
		{"opaque through a link", func(out string) []member { return []member{symlink("d", out), regular("d/.wh..wh..opq", "")} }, false},
		{"whiteout of dots", func(string) []member { return []member{regular(".wh...", "")} }, true},
		{"whiteout of nothing", func(string) []member { return []member{regular("a/.wh.", "")} }, true},
		{"mode through a link", func(out string) []member {
			return []member{symlink("d", out), {tar.Header{Name: "d", Typeflag: tar.TypeDir, Mode: 0o777}, ""}}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.name, "opaque") && os.Geteuid() != 0 {
				t.Skip("only root may mark a folder opaque")
			}
			base := t.TempDir()
			outside, root := filepath.Join(base, "outside"), filepath.Join(base, "work", "root")
			if err := errors.Join(os.MkdirAll(outside, 0o755), os.MkdirAll(root, 0o755)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			data := pack(t, c.members(outside)...)
			_, err := unpack(t.Context(), root, bytes.NewReader(data), digestOf(data), defaultLimits())
			if c.corrupt != errors.Is(err, ErrCorrupt) || (!c.corrupt && err != nil) {
				t.Errorf("unpack: got %v, want corrupt: %v", err, c.corrupt)
			}
			checkOutside(t, outside, root)
		})
	}
}

func checkOutside(t *testing.T, outside, root string) {
	t.Helper()
	entries, err := os.ReadDir(outside)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(outside)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "secret" || st.Mode().Perm() != 0o755 {
		t.Errorf("outside holds %v with mode %v, want secret alone and 0755", entries, st.Mode())
	}
	data, err := os.ReadFile(filepath.Join(outside, "secret"))
	if err != nil || string(data) != "secret" {
		t.Errorf("the secret is %q, %v; want it untouched", data, err)
	}
	// No file within may be the same file as the secret.
	secret, err := os.Stat(filepath.Join(outside, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if in, err := os.Lstat(p); err == nil && os.SameFile(in, secret) {
			t.Errorf("%s is the secret itself", p)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestUnpack_DevicesAndTrustedAttributesAreLeftOut(t *testing.T) {
	root := t.TempDir()
	data := pack(t,
		member{tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, ""},
		member{tar.Header{Name: "disk", Typeflag: tar.TypeBlock, Devmajor: 8}, ""},
		member{tar.Header{Name: "hides", Typeflag: tar.TypeChar}, ""}, // would be a whiteout
		member{tar.Header{Name: "dir", Typeflag: tar.TypeDir, Mode: 0o755,
			PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/etc"}}, ""},
		regular("file", "here"),
	)
	if _, err := unpack(t.Context(), root, bytes.NewReader(data), digestOf(data), defaultLimits()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"null": false, "disk": false, "hides": false, "dir": true, "file": true} {
		if _, err := os.Lstat(filepath.Join(root, name)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", name, err == nil, want)
		}
	}
}

func TestUnpack_Bounds(t *testing.T) {
	lim := limits{layer: 4096, entries: 3}
	zeros := strings.Repeat("\x00", 1<<20)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	raw := pack(t, regular("zeros", zeros))
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data []byte
		sum  string
	}{
		{"too large", raw, digestOf(raw)},
		{"too large when decompressed", bomb.Bytes(), digestOf(raw)},
		{"too many files", pack(t, regular("a", ""), regular("b", ""), regular("c", ""), regular("d", "")), ""},
	} {
		sum := c.sum
		if sum == "" {
			sum = digestOf(c.data)
		}
		_, err := unpack(t.Context(), t.TempDir(), bytes.NewReader(c.data), sum, lim)
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "than allowed") {
			t.Errorf("%s: got %v, want corrupt, more than allowed", c.name, err)
		}
	}
}

// What follows the end of the tar is read for the digest, and so counts.
func TestUnpack_BoundsWhatFollowsTheEnd(t *testing.T) {
	data := append(pack(t, regular("a", "text")), make([]byte, 1<<20)...)
	for allowed, refused := range map[int64]bool{1 << 20: true, 2 << 20: false} {
		lim := defaultLimits()
		lim.whole = &budget{allowed: extent{bytes: allowed, files: 10}}
		_, err := unpack(t.Context(), t.TempDir(), bytes.NewReader(data), digestOf(data), lim)
		if refused != errors.Is(err, ErrCorrupt) || !refused && err != nil {
			t.Errorf("%d bytes of %d allowed: got %v, want refused: %v", len(data), allowed, err, refused)
		}
	}
}

func TestFilter_CountsHolesOfSparseFiles(t *testing.T) {
	f := newFilter(limits{layer: 1 << 30, entries: 10})
	if _, err := f.accept(&tar.Header{Name: "hole", Typeflag: tar.TypeGNUSparse, Size: 8 << 30}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a sparse file of 8 GiB: got %v, want %v", err, ErrCorrupt)
	}
}

func TestUnpack_Compressions(t *testing.T) {
	raw := pack(t, regular("a", "text"))
	var gz, zst bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{g, z} {
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string][]byte{"plain": raw, "gzip": gz.Bytes(), "zstd": zst.Bytes()} {
		root := t.TempDir()
		if _, err := unpack(t.Context(), root, bytes.NewReader(data), digestOf(raw), defaultLimits()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(filepath.Join(root, "a")); err != nil || string(got) != "text" {
			t.Errorf("%s: content is %q, %v; want text", name, got, err)
		}
		_, err := unpack(t.Context(), t.TempDir(), bytes.NewReader(data), digestOf([]byte("other")), defaultLimits())
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s with another digest: got %v, want %v", name, err, ErrCorrupt)
		}
		if _, err := unpack(t.Context(), t.TempDir(), bytes.NewReader(data[:len(data)/2]), digestOf(raw), defaultLimits()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s cut short: got %v, want %v", name, err, ErrCorrupt)
		}
	}
	// An empty layer is a layer.
	if _, err := unpack(t.Context(), t.TempDir(), bytes.NewReader(nil), digestOf(nil), defaultLimits()); err != nil {
		t.Errorf("no bytes at all: %v", err)
	}
}

func TestUnpack_EndsWithTheContext(t *testing.T) {
	raw := pack(t, regular("a", "text"))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errSilent)
	if _, err := unpack(ctx, t.TempDir(), bytes.NewReader(raw), digestOf(raw), defaultLimits()); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want why the context ended", err)
	}
}
