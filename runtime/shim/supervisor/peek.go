package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// pipeSize is how much output waits in a FIFO while no shim reads it. It is
// also the largest size an ordinary user may ask for (pipe(7)).
const pipeSize = 1 << 20

// makeFIFO makes a FIFO that is there for good.
func makeFIFO(path string) error {
	if err := unix.Mkfifo(path, 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make %s: %w", filepath.Base(path), err)
	}
	return nil
}

// openFIFO opens a FIFO for reading and writing, so that it never ends and
// never breaks: the container holds it the same way and is its own reader when
// nobody else is. The nonblocking one is the shim's.
func openFIFO(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW|flags, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Base(path), err)
	}
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize) // a smaller one works too
	return os.NewFile(uintptr(fd), path), nil
}

// peeker looks at what is in a pipe without taking it out: tee(2) into a pipe
// of its own. So nothing is ever only in the memory of a process.
type peeker struct {
	in, out int // ends of the private pipe, always empty between calls
}

func newPeeker() (*peeker, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	return &peeker{in: fds[0], out: fds[1]}, nil
}

func (p *peeker) close() {
	unix.Close(p.in)
	unix.Close(p.out)
}

// peek fills buf with the first bytes of the pipe fd. all is false when more
// lay in the pipe already than could be shown.
func (p *peeker) peek(fd int, buf []byte) (data []byte, all bool, err error) {
	waiting, err := unix.IoctlGetInt(fd, unix.TIOCINQ) // before: the writer does not stop
	if err != nil {
		return nil, false, fmt.Errorf("look into pipe: %w", err)
	}
	n, err := retry(func() (int, error) {
		n, err := unix.Tee(fd, p.out, len(buf), unix.SPLICE_F_NONBLOCK)
		return int(n), err
	})
	if errors.Is(err, unix.EAGAIN) || (err == nil && n == 0) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look into pipe: %w", err)
	}
	if err := readFull(p.in, buf[:n]); err != nil {
		return nil, false, err
	}
	return buf[:n], waiting <= n, nil
}

// readFull reads exactly len(buf) bytes that are known to be there.
func readFull(fd int, buf []byte) error {
	for len(buf) > 0 {
		n, err := retry(func() (int, error) { return unix.Read(fd, buf) })
		if err != nil {
			return fmt.Errorf("read pipe: %w", err)
		}
		if n == 0 {
			return errors.New("read pipe: it ended")
		}
		buf = buf[n:]
	}
	return nil
}

func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}
