package image

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
)

// limits bound what one image may cost this node, whatever its documents claim.
type limits struct {
	document int64 // bytes of a manifest, list or configuration
	layer    int64 // bytes of one unpacked layer, holes included
	entries  int   // files of one layer
	layers   int   // overlayfs stacks 500 at most, one of which is the skeleton

	image extent  // all layers together
	whole *budget // what of image is left while one is taken; nil: not bounded
}

// extent is what something takes on disk, holes included.
type extent struct{ bytes, files int64 }

// mostDocument bounds a manifest, a list, a configuration and any other answer of a registry but a layer, in bytes.
const mostDocument = 8 << 20

func defaultLimits() limits {
	return limits{document: mostDocument, layer: 64 << 30, entries: 4 << 20, layers: 499,
		image: extent{bytes: defaultMaxBytes, files: defaultMaxFiles}}
}

// bound takes what the administrator wants of whole images; no layer is then bounded more.
func (l *limits) bound(image extent) {
	if image.bytes > 0 {
		l.image.bytes, l.layer = image.bytes, max(l.layer, image.bytes)
	}
	if image.files > 0 {
		l.image.files, l.entries = image.files, max(l.entries, int(image.files))
	}
}

// budget is what is left for the layers of one image, which are unpacked side by side.
type budget struct {
	allowed      extent
	bytes, files atomic.Int64
}

// spend takes from the budget. The error is ErrCorrupt.
func (b *budget) spend(e extent) error {
	if b == nil {
		return nil
	}
	if got := b.bytes.Add(e.bytes); got > b.allowed.bytes {
		return fmt.Errorf("%w: the image takes more than %d bytes unpacked, which is what one image may take here", ErrCorrupt, b.allowed.bytes)
	}
	if got := b.files.Add(e.files); got > b.allowed.files {
		return fmt.Errorf("%w: the image has more than %d files, which is what one image may have here", ErrCorrupt, b.allowed.files)
	}
	return nil
}

// bounded fails, rather than ending early, when more than left bytes come.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n, fmt.Errorf("%w: larger than allowed", ErrCorrupt)
	}
	return n, err
}

// mostListed bounds the entries of a document: some that are written in three bytes take a hundred in memory.
const mostListed = 100_000

// fewEntries is called before a document is parsed. The error is ErrCorrupt.
func fewEntries(document []byte) error {
	if bytes.Count(document, []byte(",")) > mostListed {
		return fmt.Errorf("%w: a document of more than %d entries", ErrCorrupt, mostListed)
	}
	return nil
}

func readAll(r io.Reader, most int64) ([]byte, error) {
	return io.ReadAll(&bounded{r: r, left: most})
}
