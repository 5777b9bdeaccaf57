package image

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// roomEvery is how many bytes are written between two looks at the disk.
	roomEvery = 16 << 20
	// mostSpare is what is always left of the disk, where that is less than a fiftieth of it: the node needs
	// room to say that there is none.
	mostSpare = 1 << 30
)

// room keeps an image from filling the disk to the last byte. It belongs to one layer.
type room struct {
	dir  string
	left int64 // bytes that may be written before the next look
}

// take is called before so many bytes are written. The error is ErrStorage.
func (r *room) take(n int64) error {
	if r == nil {
		return nil
	}
	if r.left -= n; r.left >= 0 {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(r.dir, &st); err != nil {
		return fmt.Errorf("%w: look at the disk: %w", ErrStorage, err)
	}
	free, spare := int64(st.Bavail)*st.Bsize, spareOf(int64(st.Blocks)*st.Bsize)
	if free-n < spare {
		return fmt.Errorf("%w: %w: %d bytes are free, of which %d are kept", ErrStorage, syscall.ENOSPC, free, spare)
	}
	r.left = min(roomEvery, (free-n-spare)/4)
	return nil
}

func spareOf(capacity int64) int64 { return min(capacity/50, mostSpare) }

// full says that a disk has no room for another file.
func full(dir string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return true
	}
	return int64(st.Bavail)*st.Bsize <= spareOf(int64(st.Blocks)*st.Bsize) || st.Files > 0 && st.Ffree == 0
}
