package volume

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Handle is an opened place on the node that a container is to see. Its Path
// names exactly what was checked, whatever happens to names meanwhile, for as
// long as the Handle is open in this process.
type Handle struct {
	file *os.File
	real string
}

// Path names it for this process while the Handle is open.
func (h *Handle) Path() string {
	return "/proc/self/fd/" + strconv.Itoa(int(h.file.Fd()))
}

// Real is where it lies now.
func (h *Handle) Real() string { return h.real }

// IsDir says whether it is a directory.
func (h *Handle) IsDir() bool {
	info, err := h.file.Stat()
	return err == nil && info.IsDir()
}

// bindTo binds it, with what is mounted below, to a name that is made for it.
func (h *Handle) bindTo(target string) error {
	if err := os.MkdirAll(path.Dir(target), 0o700); err != nil {
		return err
	}
	if h.IsDir() {
		if err := os.Mkdir(target, 0o700); err != nil {
			return err
		}
	} else if err := os.WriteFile(target, nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount(h.Path(), target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", h.real, err)
	}
	return nil
}

// Close ends it. Mounts that were made of it stay.
func (h *Handle) Close() error { return h.file.Close() }

func handle(fd int, name string) (*Handle, error) {
	f := os.NewFile(uintptr(fd), name)
	real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Handle{file: f, real: real}, nil
}

// maxLinks bounds the symbolic links of one host path.
const maxLinks = 40

// openTrusted opens an absolute path of the node, following only symbolic links
// that nobody but root could have put there.
func openTrusted(name string) (*Handle, error) {
	rest := strings.Split(strings.Trim(path.Clean(name), "/"), "/")
	at, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	followed := 0
	for len(rest) > 0 {
		element := rest[0]
		rest = rest[1:]
		if element == "" || element == "." {
			continue
		}
		next, err := unix.Openat(at, element, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			unix.Close(at)
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		target, link, err := trustedLink(at, next)
		if err != nil {
			unix.Close(at)
			unix.Close(next)
			return nil, fmt.Errorf("open %s at %q: %w", name, element, err)
		}
		if !link {
			unix.Close(at)
			at = next
			continue
		}
		unix.Close(next)
		if followed++; followed > maxLinks {
			unix.Close(at)
			return nil, &os.PathError{Op: "open", Path: name, Err: unix.ELOOP}
		}
		rest = append(strings.Split(path.Clean(target), "/"), rest...)
		if path.IsAbs(target) {
			unix.Close(at)
			if at, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
				return nil, err
			}
		}
	}
	return handle(at, name)
}

// trustedLink reads a symbolic link whose owner and directory are root's alone.
func trustedLink(dir, fd int) (target string, link bool, err error) {
	var st, parent unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", false, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", false, nil
	}
	if err := unix.Fstat(dir, &parent); err != nil {
		return "", false, err
	}
	if st.Uid != 0 || parent.Uid != 0 || parent.Mode&0o022 != 0 {
		return "", false, errors.New("symbolic link is not followed: others than root could have made it")
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", false, err
	}
	return string(buf[:n]), true, nil
}
