package confine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Cache keeps compiled profiles in a directory that only this user may write.
// Many processes use it at once. The zero Cache keeps nothing.
type Cache struct {
	dir    string
	binary string // which compiler: another build of this program makes other keys
}

// NewCache uses dir, which exists; "" is the zero Cache.
func NewCache(dir string) (Cache, error) {
	if dir == "" {
		return Cache{}, nil
	}
	info, err := os.Stat("/proc/self/exe")
	if err != nil {
		return Cache{}, fmt.Errorf("look at own program: %w", err)
	}
	return Cache{dir: dir, binary: fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())}, nil
}

// Key names a profile. It is "" for one that has to be loaded by libcontainer
// itself: there is none, it has flags, or it notifies another program.
func (c Cache) Key(profile *specs.LinuxSeccomp) string {
	if c.dir == "" || profile == nil || len(profile.Flags) > 0 || profile.ListenerPath != "" || profile.DefaultAction == "" {
		return ""
	}
	if profile.DefaultAction == specs.ActNotify {
		return ""
	}
	for _, call := range profile.Syscalls {
		if call.Action == specs.ActNotify {
			return ""
		}
	}
	data, err := json.Marshal(profile)
	if err != nil {
		return ""
	}
	h := sha256.New()
	fmt.Fprintln(h, c.binary)
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// Load returns what Save kept, nil if there is nothing. A file that is not
// whole, or that another user could have written, is an error.
func (c Cache) Load(key string) (Program, error) {
	file, err := os.OpenFile(c.path(key), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open filter: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at filter: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || int(stat.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("filter %s is %s: it must be a file that only user %d may write", file.Name(), info.Mode(), os.Geteuid())
	}
	const most = sha256.Size + maxInstructions*instructionSize
	if info.Size() > most {
		return nil, fmt.Errorf("filter %s: %d bytes, at most %d are possible", file.Name(), info.Size(), most)
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("read filter: %w", err)
	}
	return unseal(data)
}

// Save keeps a program, whole or not at all.
func (c Cache) Save(key string, p Program) error {
	if err := p.check(); err != nil {
		return err
	}
	temp, err := os.CreateTemp(c.dir, "new-")
	if err != nil {
		return fmt.Errorf("keep filter: %w", err)
	}
	_, err = temp.Write(seal(p))
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), c.path(key))
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("keep filter: %w", err)
	}
	return nil
}

func (c Cache) path(key string) string { return filepath.Join(c.dir, key) }

// seal puts a sum before the program: a file that was renamed but not written
// when the machine crashed is found out.
func seal(p Program) []byte {
	sum := sha256.Sum256(p)
	return append(sum[:], p...)
}

func unseal(data []byte) (Program, error) {
	if len(data) < sha256.Size {
		return nil, errors.New("filter is damaged: it is too short")
	}
	p := Program(data[sha256.Size:])
	if sum := sha256.Sum256(p); !bytes.Equal(sum[:], data[:sha256.Size]) {
		return nil, errors.New("filter is damaged: its sum does not match")
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}
