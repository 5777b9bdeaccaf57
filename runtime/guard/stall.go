package guard

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stalled is a tenth of two seconds in which somebody waited for memory. The kernel grants whoever lacks
// CAP_SYS_RESOURCE windows of whole two seconds only.
const stalled = "some 200000 2000000"

// WatchStalls tells whenever somebody waits for memory, until ctx ends (pressure stall information, the same
// with either version of control groups).
func WatchStalls(ctx context.Context, tell func()) error {
	psi, err := unix.Open("/proc/pressure/memory", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /proc/pressure/memory: %w", err)
	}
	defer unix.Close(psi)
	if _, err := unix.Write(psi, append([]byte(stalled), 0)); err != nil {
		return fmt.Errorf("ask /proc/pressure/memory to tell: %w", err)
	}
	awake, asleep, err := os.Pipe()
	if err != nil {
		return err
	}
	defer awake.Close()
	defer asleep.Close()
	stop := context.AfterFunc(ctx, func() { asleep.Close() }) // a File knows that it is closed, a number does not
	defer stop()
	fds := []unix.PollFd{{Fd: int32(psi), Events: unix.POLLPRI}, {Fd: int32(awake.Fd()), Events: unix.POLLIN}}
	for ctx.Err() == nil {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case fds[0].Revents&unix.POLLERR != 0:
			return errors.New("/proc/pressure/memory tells no more")
		case fds[0].Revents&unix.POLLPRI != 0:
			tell()
		}
	}
	return nil
}
