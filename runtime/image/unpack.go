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
	a := &applier{root: filepath.Clean(root), seen: seen, room: &room{dir: root}, owned: os.Geteuid() == 0}
	if err := a.apply(ctx, stream); err != nil {
		return extent{}, corrupt(ctx, blame(root, err))
	}
	// What follows the end of the tar belongs to the digest too.
	rest, err := io.Copy(io.Discard, stream)
	if err == nil {
		err = lim.whole.spend(extent{bytes: rest}) // it costs time, if no room
	}
	if err != nil {
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

// blame tells a full disk from attributes of a file that are more than a file can have, which some file
// systems report alike.
func blame(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) && !errors.Is(err, ErrStorage) && !full(dir) {
		return fmt.Errorf("%w: more than this file system takes: %s", ErrCorrupt, err)
	}
	return err
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
	// Longer ones than the system takes are not even looked for: that would cost a stack as deep as the path.
	if n := max(len(h.Name), len(h.Linkname)); n > unix.PathMax {
		return false, fmt.Errorf("%w: its path is too long: %d bytes, at most %d are allowed", ErrCorrupt, n, unix.PathMax)
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
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, paxAttribute)
		switch {
		case !ok:
		case !mayHave(name):
			delete(h.PAXRecords, key)
		case len(value) > mostAttribute:
			return false, fmt.Errorf("%w: attribute %s of %d bytes, at most %d are allowed", ErrCorrupt, name, len(value), mostAttribute)
		}
	}
	return h.Typeflag != tar.TypeChar && h.Typeflag != tar.TypeBlock, nil
}

// paxAttribute begins the records of extended attributes in a tar.
const paxAttribute = "SCHILY.xattr."

// mostAttribute bounds one attribute, in bytes: XATTR_SIZE_MAX of Linux.
const mostAttribute = 64 << 10

// mayHave says which attributes a file of an image may have: those of users, file capabilities and access
// lists. Labels of security modules and signatures (security.*) are this node's affair, and trusted.* and
// user.overlay.* are read by overlayfs.
func mayHave(name string) bool {
	switch {
	case name == "security.capability", name == "system.posix_acl_access", name == "system.posix_acl_default":
		return true
	}
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.")
}

// convertWhiteout writes a deletion of the image format as overlayfs wants it. It
// says whether the entry itself is to be written.
func convertWhiteout(path string, a *applier) (bool, error) {
	const prefix, opaque = ".wh.", ".wh..wh..opq"
	dir, base := filepath.Dir(path), filepath.Base(path)
	switch {
	case base == opaque:
		return false, unix.Lsetxattr(dir, "trusted.overlay.opaque", []byte{'y'}, 0)
	case strings.HasPrefix(base, prefix+prefix):
		return false, nil // bookkeeping of an older storage driver
	case strings.HasPrefix(base, prefix):
		name := base[len(prefix):]
		if name == "" || name == "." || name == ".." {
			return false, fmt.Errorf("%w: it takes away %q, which is no name of a file", ErrCorrupt, name)
		}
		victim := filepath.Join(dir, name)
		if err := a.remove(victim); err != nil {
			return false, err
		}
		return false, unix.Mknod(victim, unix.S_IFCHR, 0)
	}
	return true, nil
}
