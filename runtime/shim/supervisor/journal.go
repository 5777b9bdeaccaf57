package supervisor

import (
	"fmt"
	"hash/fnv"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"writ/runtime/shim/crilog"
)

// journal says how far the copy of a FIFO into a log had come, in memory that
// is shared with a file: it outlives a killed process at the cost of a store.
// There is one slot for each stream.
type journal struct {
	page []byte
}

// slot is the note of one stream. Between writing and idle the bytes may be in
// the FIFO, in the log, or in both; what is written here tells which.
type slot struct {
	phase  atomic.Uint32
	length uint32 // bytes of output being moved
	sum    uint64 // of those bytes
	inode  uint64 // where in the log they go
	offset int64
}

const (
	phaseIdle    = 0 // nothing is under way
	phaseWriting = 1 // the log may hold a part; the FIFO holds everything
	phaseWritten = 2 // the log holds everything; the FIFO perhaps still too
)

const journalSize = 4096

func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log journal: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < journalSize { // blocks are allocated now: a hole in a full disk would be SIGBUS later
		if _, err := file.WriteAt(make([]byte, journalSize), 0); err != nil {
			return nil, fmt.Errorf("allocate log journal: %w", err)
		}
	}
	page, err := unix.Mmap(int(file.Fd()), 0, journalSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map log journal: %w", err)
	}
	return &journal{page: page}, nil
}

func (j *journal) slot(s crilog.Stream) *slot {
	const second = 64
	if s == crilog.Stderr {
		return (*slot)(unsafe.Pointer(&j.page[second]))
	}
	return (*slot)(unsafe.Pointer(&j.page[0]))
}

func (j *journal) close() { _ = unix.Munmap(j.page) }

// begin notes that data is about to be written to the log at a position.
func (s *slot) begin(data []byte, at crilog.Position) {
	s.length, s.sum = uint32(len(data)), sum(data)
	s.inode, s.offset = at.Inode, at.Offset
	s.phase.Store(phaseWriting)
}

func (s *slot) written() { s.phase.Store(phaseWritten) }

func (s *slot) idle() { s.phase.Store(phaseIdle) }

func (s *slot) position() crilog.Position {
	return crilog.Position{Inode: s.inode, Offset: s.offset}
}

func sum(data []byte) uint64 {
	h := fnv.New64a()
	h.Write(data)
	return h.Sum64()
}
