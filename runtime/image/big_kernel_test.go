//go:build kernel

package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"writ/fixtures/kernel"
	"writ/fixtures/registry"
)

// fileLayer is a compressed layer that lies in a file.
type fileLayer struct {
	path         string
	digest, diff v1.Hash
	size         int64
}

func (l fileLayer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l fileLayer) DiffID() (v1.Hash, error)             { return l.diff, nil }
func (l fileLayer) Compressed() (io.ReadCloser, error)   { return os.Open(l.path) }
func (l fileLayer) Size() (int64, error)                 { return l.size, nil }
func (l fileLayer) MediaType() (types.MediaType, error)  { return types.OCILayer, nil }
func (l fileLayer) Uncompressed() (io.ReadCloser, error) { return nil, errors.New("not needed") }

func hashOf(sum []byte) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum)} }

// bigLayer is one file of so many bytes, mostly zeros, written as it goes.
func bigLayer(t *testing.T, size int64) v1.Layer {
	t.Helper()
	l := fileLayer{path: filepath.Join(t.TempDir(), "layer.tar.gz")}
	f, err := os.Create(l.path)
	if err != nil {
		t.Fatal(err)
	}
	packed, plain := sha256.New(), sha256.New()
	z, err := gzip.NewWriterLevel(io.MultiWriter(f, packed), gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(io.MultiWriter(z, plain))
	if err := w.WriteHeader(&tar.Header{Name: "big", Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
		t.Fatal(err)
	}
	mib := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(mib)) {
		if clear(mib); at%(16<<20) == 0 { // some of it is not
			copy(mib, noise(1<<20))
		}
		if _, err := w.Write(mib); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	if l.size, err = f.Seek(0, io.SeekCurrent); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l.digest, l.diff = hashOf(packed.Sum(nil)), hashOf(plain.Sum(nil))
	return l
}

func imageOf(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// A layer is a stream: however large, it never lies in memory.
func TestPull_BigLayerInFlatMemory(t *testing.T) {
	reg := registry.StartOnDisk(t, t.TempDir())
	ref := push(t, reg, imageOf(t, bigLayer(t, 512<<20)), "big:v")
	s := openStore(t, t.TempDir())
	var img Image
	peak := heapWhile(t, func() {
		var err error
		if img, err = s.Pull(t.Context(), ref, Access{}); err != nil {
			t.Error(err)
		}
	})
	if peak > 32<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
	st, err := os.Stat(filepath.Join(s.layerDir(img.Layers[0]), "big"))
	if err != nil || st.Size() != 512<<20 {
		t.Errorf("the file: %v, %v", st, err)
	}
	t.Logf("512 MiB, %d transferred: the heap grew by %d KiB", img.Size, peak>>10)
}

// smallDisk is a file system of its own.
func smallDisk(t *testing.T, size int64, inodes int) string {
	t.Helper()
	kernel.Require(t)
	dir := t.TempDir()
	kernel.CheckClean(t, dir)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,nr_inodes=%d,mode=0700", size, inodes)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func free(t *testing.T, dir string) (bytes, files int64) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Ffree)
}

// A full disk is no fault of the image, leaves nothing of it, and is never filled to the last byte.
func TestPull_DiskFull(t *testing.T) {
	const disk = 32 << 20
	files := map[string]string{}
	for i := range 3000 {
		files[fmt.Sprintf("f%d", i)] = ""
	}
	for _, c := range []struct {
		name  string
		layer map[string]string
	}{
		{"bytes", map[string]string{"a": noise(40 << 20)}},
		{"files", files},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := smallDisk(t, disk, 2000)
			reg := registry.Start(t)
			ref := push(t, reg, small(t, nil, map[string]string{"base": "x"}, c.layer), "app:v")
			good := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "good:v")
			s := openWith(t, Config{Dir: filepath.Join(dir, "store")})
			bytesBefore, filesBefore := free(t, dir)
			_, err := s.Pull(t.Context(), ref, Access{})
			if !errors.Is(err, ErrStorage) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "no space left on device") {
				t.Errorf("got %v, want %v: no space left on device", err, ErrStorage)
			}
			if b, f := free(t, dir); b < bytesBefore-1<<16 || f < filesBefore-4 {
				t.Errorf("%d bytes and %d files are free, %d and %d before", b, f, bytesBefore, filesBefore)
			}
			noTraces(t, s)
			if n := layersOnDisk(t, s); n != 0 {
				t.Errorf("%d layers are left", n)
			}
			if _, err := s.Pull(t.Context(), good, Access{}); err != nil {
				t.Errorf("an image that fits: %v", err)
			}
		})
	}
}

// An archive that is loaded leaves some of the disk, too, and nothing of itself.
func TestLoad_DiskFull(t *testing.T) {
	dir := smallDisk(t, 32<<20, 2000)
	s := openWith(t, Config{Dir: filepath.Join(dir, "store"), Archives: filepath.Join(dir, "archives")})
	before, _ := free(t, dir)
	_, err := s.Load(t.Context(), io.LimitReader(endless("text of no end "), 64<<20))
	if !errors.Is(err, ErrStorage) || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("got %v, want %v: no space left on device", err, ErrStorage)
	}
	if after, _ := free(t, dir); after < before-1<<16 {
		t.Errorf("%d bytes are free, %d before", after, before)
	}
}

// endless is text that repeats.
type endless string

func (e endless) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], e)
	}
	return len(p), nil
}

// A hole of 10 GiB fits onto a disk of 32 MiB; what is written does not.
func TestUnpack_SparseFileOnASmallDisk(t *testing.T) {
	dir := smallDisk(t, 32<<20, 2000)
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	data := sparseTar(10 << 30)
	if _, err := unpack(t.Context(), root, bytes.NewReader(data), digestOf(data), defaultLimits()); err != nil {
		t.Error(err)
	}
	st, err := os.Stat(filepath.Join(root, "hole"))
	if err != nil || st.Size() != 10<<30 {
		t.Errorf("the file: %v, %v", st, err)
	}
}

// An attribute that the file system has no room for is the image's fault, not the disk's.
func TestUnpack_AttributeTooLargeForTheFileSystem(t *testing.T) {
	kernel.Require(t)
	root := t.TempDir()
	data := pack(t, member{tar.Header{Name: "x", Typeflag: tar.TypeReg, PAXRecords: map[string]string{paxAttribute + "user.a": noise(60_000)}}, ""})
	_, err := unpack(t.Context(), root, bytes.NewReader(data), digestOf(data), defaultLimits())
	if err != nil && !errors.Is(err, ErrCorrupt) { // some file systems take it
		t.Errorf("got %v, want %v", err, ErrCorrupt)
	}
}
