package sync

import (
	"errors"
	"io"

	"writ/sync/bounds"
)

const maxObjects = 8_000_000 // in one pack; indexing takes about 250 bytes for each

// inspect copies a pack from a server to w and refuses one with an object of more than limit bytes.
func inspect(w io.Writer, r io.Reader, limit int64) error {
	err := bounds.Pack(w, r, bounds.Limits{Objects: maxObjects, Object: limit})
	if large, ok := errors.AsType[bounds.TooLarge](err); ok {
		return problemf(TooLarge, "%s", large)
	}
	return err
}
