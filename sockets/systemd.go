package sockets

import (
	"context"
	"os"
	"slices"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// systemd keeps descriptors for a service with FileDescriptorStoreMax= and hands them to its next
// process (sd_pid_notify_with_fds(3), sd_listen_fds(3)).
type systemd struct {
	notify string
	kept   []*os.File // at the start of this process; a file's name is the name it was kept under
}

// openSystemd says whether systemd keeps descriptors for this process: it tells so since version 254.
func openSystemd() (*systemd, bool) {
	room, err := strconv.Atoi(os.Getenv("FDSTORE"))
	notify := os.Getenv("NOTIFY_SOCKET")
	if err != nil || room <= 0 || notify == "" {
		return nil, false
	}
	return &systemd{notify: notify, kept: activation.Files(true)}, true
}

func (s *systemd) take(name string) ([]*os.File, error) {
	var files []*os.File
	s.kept = slices.DeleteFunc(s.kept, func(f *os.File) bool {
		if f.Name() == name {
			files = append(files, f)
		}
		return f.Name() == name
	})
	return files, nil
}

// keep tells systemd not to look at the sockets (FDPOLL): an error on one is no reason to drop it.
func (s *systemd) keep(name string, fds []int) error {
	if err := s.tell("FDSTOREREMOVE=1\nFDNAME="+name, nil); err != nil || len(fds) == 0 {
		return err
	}
	for part := range slices.Chunk(fds, maxDescriptors) {
		if err := s.tell("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, part); err != nil {
			return err
		}
	}
	return nil
}

func (s *systemd) tell(text string, fds []int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var beside []byte
	if len(fds) > 0 {
		beside = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(fd, []byte(text), beside, &unix.SockaddrUnix{Name: s.notify}, unix.MSG_NOSIGNAL)
}

// lost never comes: systemd outlives everything.
func (s *systemd) lost(ctx context.Context) { <-ctx.Done() }

func (s *systemd) reopen() error { return nil }

// end does nothing: systemd lets go when the service is stopped.
func (s *systemd) end() error { return nil }

func (s *systemd) close() error { return nil }
