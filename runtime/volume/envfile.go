package volume

import (
	"context"
	"fmt"
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
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > longestEnvFile {
		return "", fmt.Errorf("%s is no file of at most %d bytes", path, longestEnvFile)
	}
	return env.ParseEnv("/proc/self/fd/"+strconv.Itoa(fd), key)
}
