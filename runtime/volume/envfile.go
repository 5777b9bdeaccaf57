package volume

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/util/env"

	"writ/runtime/oci"
)

// longestEnvFile bounds, in bytes, what is read of a file that a container wrote.
const longestEnvFile = 1 << 20

// EnvValue reads a variable from a file in an emptyDir, empty if it is not in there. The file is
// a regular one of the volume, whatever links a container made.
func (s *Set) EnvValue(ctx context.Context, pod *corev1.Pod, name, path, key string) (string, error) {
	v := volumeOf(&pod.Spec, name)
	if v == nil || v.EmptyDir == nil {
		return "", oci.ConfigErrorf("cannot find the volume %q referenced by FileKeyRef", name)
	}
	dir := s.Path(name)
	return do(ctx, s.Calls, "volume "+dir, func() (string, error) { return envValue(dir, path, key) }, nil)
}

func envValue(dir, path, key string) (string, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open volume: %w", err)
	}
	defer unix.Close(root)
	fd, err := openInside(root, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return "", fmt.Errorf("open %s in its volume: %w", path, err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", fmt.Errorf("%s is no file", path)
	}
	copied, err := unix.MemfdCreate("env", unix.MFD_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("copy %s: %w", path, err)
	}
	to := os.NewFile(uintptr(copied), path)
	defer to.Close()
	if err := copyBounded(to, file, path); err != nil {
		return "", err
	}
	return env.ParseEnv("/proc/self/fd/"+strconv.Itoa(copied), key)
}

// copyBounded copies what may be written to at the same time.
func copyBounded(to io.Writer, from io.Reader, path string) error {
	n, err := io.Copy(to, io.LimitReader(from, longestEnvFile+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if n > longestEnvFile {
		return fmt.Errorf("%s is no file of at most %d bytes", path, longestEnvFile)
	}
	return nil
}
