package image

import (
	"fmt"
	"io"
)

// limits bound what one image may cost this node, whatever its documents claim.
type limits struct {
	document int64 // bytes of a manifest, list or configuration
	layer    int64 // bytes of one unpacked layer, holes included
	entries  int   // files of one layer
	layers   int   // overlayfs stacks 500 at most, one of which may be the empty folder
}

func defaultLimits() limits {
	return limits{document: 8 << 20, layer: 64 << 30, entries: 4 << 20, layers: 499}
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

func readAll(r io.Reader, most int64) ([]byte, error) {
	return io.ReadAll(&bounded{r: r, left: most})
}
