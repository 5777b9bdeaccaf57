package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"writ/runtime/shim"
)

// stdin is the writing side of a container's standard input. A container that
// is to see the end of it (StdinOnce) only reads its FIFO; any other holds it
// for writing too and so never sees an end, also when no shim is there.
type stdin struct {
	once bool
	path string
	mu   sync.Mutex
	file *os.File
}

const stdinName = "stdin"

// openStdin makes the FIFO and returns the container's end.
func (c *container) openStdin(once bool) (*os.File, error) {
	path := c.pod.fifo(c.id, stdinName)
	if err := makeFIFO(path); err != nil {
		return nil, err
	}
	if err := c.joinStdin(once); err != nil {
		return nil, err
	}
	if once {
		return os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	}
	return openFIFO(path, 0)
}

// joinStdin opens the shim's end.
func (c *container) joinStdin(once bool) error {
	path := c.pod.fifo(c.id, stdinName)
	file, err := openFIFO(path, unix.O_NONBLOCK)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c.stdin = &stdin{once: once, path: path, file: file}
	return nil
}

// Write blocks while the container does not read.
func (s *stdin) Write(p []byte) (int, error) {
	s.mu.Lock()
	file := s.file
	s.mu.Unlock()
	if file == nil {
		return 0, shim.Errorf(shim.CodeConflict, "standard input is closed")
	}
	return file.Write(p)
}

// held is the shim's end, nil if there is none any more.
func (s *stdin) held() *os.File {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file
}

// end is called when an attached client is done. The file goes first: the next
// shim would open it for writing, and a container that is not yet at the end of
// its input would never see it.
func (s *stdin) end() {
	if s.once {
		_ = os.Remove(s.path)
		s.close()
	}
}

func (s *stdin) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}
