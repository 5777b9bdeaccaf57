package pki

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"writ/disk"
)

// secretSize is that of a secret, in bytes.
const secretSize = 32

// secret reads random bytes that are kept, or makes them.
func secret(path string) ([]byte, error) {
	data, err := private(path)
	if errors.Is(err, fs.ErrNotExist) {
		data = make([]byte, secretSize)
		if _, err := rand.Read(data); err != nil {
			return nil, err
		}
		return data, disk.Replace(path, data)
	}
	if err == nil && len(data) != secretSize {
		err = fmt.Errorf("%s holds %d bytes, not %d; remove it and another is made", path, len(data), secretSize)
	}
	return data, err
}

// private reads a file that nobody but its owner can read.
func private(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %v: others than its owner could read it; a key that is known to others has to be replaced", path, info.Mode())
	}
	return os.ReadFile(path)
}
