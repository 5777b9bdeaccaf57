package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// OpenHostPath opens a hostPath volume after checking its type, and says which
// paths below it must be hidden because they hold the daemon's own directories.
func OpenHostPath(v *corev1.HostPathVolumeSource, own []string) (*Handle, []string, error) {
	kind := corev1.HostPathUnset
	if v.Type != nil {
		kind = *v.Type
	}
	if err := create(v.Path, kind, own); err != nil {
		return nil, nil, err
	}
	h, err := openTrusted(v.Path)
	if errors.Is(err, fs.ErrNotExist) && kind != corev1.HostPathUnset {
		return nil, nil, typeError(v.Path, kind)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("hostPath: %w", err)
	}
	if err := checkType(h, v.Path, kind); err != nil {
		h.Close()
		return nil, nil, err
	}
	hidden, err := hide(h.Real(), own)
	if err != nil {
		h.Close()
		return nil, nil, err
	}
	return h, hidden, nil
}

// create makes what DirectoryOrCreate, FileOrCreate and the unset type promise,
// below the deepest directory that is there; nothing is made among the daemon's
// own files.
func create(name string, kind corev1.HostPathType, own []string) error {
	if kind != corev1.HostPathDirectoryOrCreate && kind != corev1.HostPathUnset && kind != corev1.HostPathFileOrCreate {
		return nil
	}
	there, missing, err := deepest(name)
	if err != nil || missing == "" {
		return nil // what is there is judged when it is opened
	}
	h, err := openTrusted(there)
	if err != nil {
		return fmt.Errorf("hostPath: %w", err)
	}
	defer h.Close()
	if _, err := hide(filepath.Join(h.Real(), missing), own); err != nil {
		return err
	}
	root, err := os.OpenRoot(h.Path())
	if err != nil {
		return fmt.Errorf("hostPath: %w", err)
	}
	defer root.Close()
	if kind != corev1.HostPathFileOrCreate {
		if err := root.MkdirAll(missing, 0o755); err != nil {
			return fmt.Errorf("hostPath: %w", err)
		}
		return nil
	}
	f, err := root.OpenFile(missing, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil // another container was first
	}
	if err != nil {
		return fmt.Errorf("hostPath: %w", err)
	}
	return f.Close()
}

// deepest splits a path into what is there and what is missing below it.
func deepest(name string) (there, missing string, err error) {
	for there = filepath.Clean(name); ; there = filepath.Dir(there) {
		_, err := os.Lstat(there)
		if err == nil {
			missing, err = filepath.Rel(there, name)
			if missing == "." {
				missing = ""
			}
			return there, missing, err
		}
		if !errors.Is(err, fs.ErrNotExist) || there == "/" {
			return "", "", err
		}
	}
}

func checkType(h *Handle, name string, kind corev1.HostPathType) error {
	info, err := h.file.Stat()
	if err != nil {
		return fmt.Errorf("hostPath: %w", err)
	}
	m := info.Mode()
	ok := true
	switch kind {
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		ok = m.IsDir()
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		ok = m.IsRegular()
	case corev1.HostPathSocket:
		ok = m&fs.ModeSocket != 0
	case corev1.HostPathCharDev:
		ok = m&fs.ModeCharDevice != 0
	case corev1.HostPathBlockDev:
		ok = m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0
	}
	if !ok {
		return typeError(name, kind)
	}
	return nil
}

// typeError is upstream's sentence, of what is of another type or not there.
func typeError(name string, kind corev1.HostPathType) error {
	what := map[corev1.HostPathType]string{
		corev1.HostPathDirectory: "a directory", corev1.HostPathDirectoryOrCreate: "a directory",
		corev1.HostPathFile: "a file", corev1.HostPathFileOrCreate: "a file", corev1.HostPathSocket: "a socket file",
		corev1.HostPathCharDev: "a character device", corev1.HostPathBlockDev: "a block device",
	}[kind]
	return fmt.Errorf("hostPath type check failed: %s is not %s", name, what)
}

// hide refuses a path at or below one of the daemon's own and lists those that
// lie below the path, relative to it.
func hide(real string, own []string) ([]string, error) {
	var hidden []string
	for _, o := range own {
		o, err := filepath.EvalSymlinks(o)
		if err != nil {
			continue // not there, so nothing to protect
		}
		if within(real, o) {
			return nil, fmt.Errorf("hostPath %s belongs to this node's daemon and is not shown to pods", real)
		}
		if within(o, real) {
			rel, err := filepath.Rel(real, o)
			if err != nil {
				return nil, err
			}
			hidden = append(hidden, rel)
		}
	}
	return hidden, nil
}

// within says that name is dir or below it.
func within(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}
