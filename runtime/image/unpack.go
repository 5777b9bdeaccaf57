package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// unpack applies one layer to an empty folder and checks that the unpacked tar had
// the digest. Links are resolved inside root only. Deleted files become overlayfs
// whiteouts. Device nodes and trusted.* attributes are left out: nothing in an
// image may look like a whiteout or an overlay redirect without having been
// written here. Any trouble with the content is ErrCorrupt.
func unpack(ctx context.Context, root string, r io.Reader, diffID string, lim limits) (extent, error) {
	source := &bounded{r: r, left: lim.layer}
	plain, done, err := decompress(source, lim)
	if err != nil {
		return extent{}, corrupt(ctx, err)
	}
	defer done()
	sum := sha256.New()
	stream := io.TeeReader(&bounded{r: plain, left: lim.layer}, sum)
	seen := newFilter(lim)
	opts := []archive.ApplyOpt{
		archive.WithFilter(seen.accept),
		archive.WithConvertWhiteout(convertWhiteout),
	}
	if os.Geteuid() != 0 {
		opts = append(opts, archive.WithNoSameOwner())
	}
	if _, err := archive.Apply(ctx, root, stream, opts...); err != nil {
		return extent{}, corrupt(ctx, err)
	}
	// What follows the end of the tar belongs to the digest too.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return extent{}, corrupt(ctx, err)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != diffID {
		return extent{}, fmt.Errorf("%w: digest of the content is %s", ErrCorrupt, got)
	}
	return seen.seen, nil
}

// corrupt gives an error of reading or applying content its kind. A full disk and a
// registry that fell silent are not the content's fault.
func corrupt(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, k := range kinds {
		if errors.Is(err, k) {
			return err
		}
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.EPERM, syscall.EACCES} {
		if errors.Is(err, full) {
			return fmt.Errorf("%w: %w", ErrStorage, err)
		}
	}
	if isNetwork(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// decompress goes by the first bytes, not by the media type: archives have none.
func decompress(r io.Reader, lim limits) (io.Reader, func(), error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { z.Close() }, nil
	case bytes.HasPrefix(head, zstdMagic):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return b, func() {}, nil
}

// filter sees every header before anything is written.
type filter struct {
	lim  limits
	seen extent
}

func newFilter(lim limits) *filter { return &filter{lim: lim} }

func (f *filter) accept(h *tar.Header) (bool, error) {
	if f.seen.files++; f.seen.files > int64(f.lim.entries) {
		return false, fmt.Errorf("%w: more files than allowed", ErrCorrupt)
	}
	// A sparse file's size is what it takes on disk here, not what it took in the tar.
	if h.Size < 0 || h.Size > f.lim.layer-f.seen.bytes {
		return false, fmt.Errorf("%w: larger than allowed", ErrCorrupt)
	}
	f.seen.bytes += h.Size
	if err := f.lim.whole.spend(extent{bytes: h.Size, files: 1}); err != nil {
		return false, err
	}
	if h.Name == ".." || strings.HasPrefix(h.Name, "../") {
		return false, fmt.Errorf("%w: path %q leaves the layer", ErrCorrupt, h.Name)
	}
	if h.Typeflag == tar.TypeLink {
		if l := filepath.Clean(h.Linkname); l == ".." || strings.HasPrefix(l, "../") {
			return false, fmt.Errorf("%w: link %q to %q leaves the layer", ErrCorrupt, h.Name, h.Linkname)
		}
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "SCHILY.xattr.trusted.") {
			delete(h.PAXRecords, key)
		}
	}
	return h.Typeflag != tar.TypeChar && h.Typeflag != tar.TypeBlock, nil
}

// convertWhiteout writes a deletion of the image format as overlayfs wants it. It
// says whether the entry itself is to be written.
func convertWhiteout(h *tar.Header, path string) (bool, error) {
	const prefix, opaque = ".wh.", ".wh..wh..opq"
	dir, base := filepath.Dir(path), filepath.Base(path)
	switch {
	case base == opaque:
		return false, unix.Lsetxattr(dir, "trusted.overlay.opaque", []byte{'y'}, 0)
	case strings.HasPrefix(base, prefix+prefix):
		return false, nil // bookkeeping of an older storage driver
	case strings.HasPrefix(base, prefix):
		victim := filepath.Join(dir, base[len(prefix):])
		if err := os.RemoveAll(victim); err != nil {
			return false, err
		}
		return false, unix.Mknod(victim, unix.S_IFCHR, 0)
	}
	return true, nil
}
