package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"

	"writ/runtime/oci"
)

// subPath is what of its volume a mount shows, empty for all of it. The error is
// upstream's sentence and matches oci.ErrConfig.
func subPath(m *corev1.VolumeMount, env map[string]string) (string, error) {
	if m.SubPathExpr == "" {
		return checkedSubPath(m.SubPath)
	}
	missing := false
	out := expansion.Expand(m.SubPathExpr, func(name string) string {
		value, ok := env[name]
		missing = missing || !ok || value == ""
		return value
	})
	if missing {
		return "", oci.ConfigErrorf("missing value for %q", m.SubPathExpr)
	}
	return checkedSubPath(out)
}

func checkedSubPath(sub string) (string, error) {
	if path.IsAbs(sub) {
		return "", oci.ConfigErrorf("error SubPath `%s` must not be an absolute path", sub)
	}
	if strings.Contains("/"+sub+"/", "/../") {
		return "", oci.ConfigErrorf("unable to provision SubPath `%s`: must not contain '..'", sub)
	}
	return sub, nil
}

// subPathError says that the part of a volume cannot be shown. Users are told no more
// than which mount it is: a reason could tell a container what the node's files are.
type subPathError struct {
	what, mount, container string
	cause                  error
}

func (e *subPathError) Error() string {
	return fmt.Sprintf("failed to %s for volumeMount %q of container %q", e.what, e.mount, e.container)
}

func (e *subPathError) Is(target error) bool { return target == oci.ErrConfig }

// Cause is for the node's log.
func (e *subPathError) Cause() error { return e.cause }

var errCreate = errors.New("create")

// newSubPathError takes what OpenBeneath said.
func newSubPathError(m *corev1.VolumeMount, container string, cause error) error {
	e := &subPathError{what: "prepare subPath", mount: m.Name, container: container, cause: cause}
	if errors.Is(cause, errCreate) {
		e.what = "create subPath directory"
	}
	return e
}

// maxRaces bounds how often a path is walked again that changed meanwhile.
const maxRaces = 64

// OpenBeneath opens a path below dir (a volume that containers write to). A
// symbolic link may lead to elsewhere in dir, never out of it. Where nothing is, a
// directory is made with the mode of the volume, its set-group-ID bit too, so that
// whoever may write to the volume may write to it.
func OpenBeneath(dir, sub string) (*Handle, error) {
	clean := strings.TrimPrefix(path.Clean("/"+sub), "/")
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open volume: %w", err)
	}
	defer unix.Close(root)
	if clean == "" {
		clean = "."
	}
	fd, err := openInside(root, clean, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		if err := makeBeneath(root, dir, clean); err != nil {
			return nil, fmt.Errorf("%w subPath %q: %w", errCreate, sub, err)
		}
		fd, err = openInside(root, clean, unix.O_PATH)
	}
	if err != nil {
		return nil, fmt.Errorf("open subPath %q: %w", sub, err)
	}
	return handle(fd, clean)
}

// openInside opens a path below a directory; a path that was renamed while it was
// walked is walked again.
func openInside(root int, sub string, flags uint64) (int, error) {
	how := &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	for range maxRaces {
		fd, err := unix.Openat2(root, sub, how)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

// makeBeneath makes a directory and those above it inside a volume. The set mode is
// that of the last one; those above are as the node's umask has them, as upstream's.
func makeBeneath(fd int, dir, sub string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	mode := st.Mode & (0o777 | unix.S_ISGID)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(path.Dir(sub), fs.FileMode(mode&0o777)); err != nil {
		return err
	}
	if err := root.Mkdir(sub, fs.FileMode(mode&0o777)); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // another container was first
		}
		return err
	}
	made, err := openInside(fd, sub, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(made)
	return unix.Fchmod(made, mode)
}
