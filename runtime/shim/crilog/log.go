package crilog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Defaults of Config, the kubelet's.
const (
	DefaultMaxSize  = 10 << 20
	DefaultMaxFiles = 5
	DefaultMode     = 0o640
)

// Config says where a log goes.
type Config struct {
	Path     string      // absolute; empty: everything is dropped and nothing counted
	MaxSize  int64       // bytes at which the file is rotated; 0: DefaultMaxSize
	MaxFiles int         // files kept, the current one included; 0: DefaultMaxFiles
	Mode     os.FileMode // 0: DefaultMode
}

// Log is the current file and its rotated ones. It is not safe for use by
// several goroutines at once.
type Log struct {
	cfg     Config
	file    *os.File
	dropped atomic.Int64
}

// Position is a place in a log file.
type Position struct {
	Inode  uint64
	Offset int64
}

// New returns the log of cfg. The file is opened with the first Append, or by
// Open for a caller that wants it to be there.
func New(cfg Config) *Log {
	if cfg.MaxSize <= 0 {
		cfg.MaxSize = DefaultMaxSize
	}
	if cfg.MaxFiles <= 0 {
		cfg.MaxFiles = DefaultMaxFiles
	}
	if cfg.Mode == 0 {
		cfg.Mode = DefaultMode
	}
	return &Log{cfg: cfg}
}

// Open creates the file and the folders above it. A Log that could not be
// opened may be used all the same: each Append tries again.
func (l *Log) Open() error {
	if l.cfg.Path == "" || l.file != nil {
		return nil
	}
	file, err := l.open()
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(l.cfg.Path), 0o755); err != nil {
			return fmt.Errorf("create log directory: %w", err)
		}
		file, err = l.open()
	}
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	l.file = file
	return nil
}

func (l *Log) open() (*os.File, error) {
	const flags = os.O_WRONLY | os.O_APPEND | os.O_CREATE | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	file, err := os.OpenFile(l.cfg.Path, flags, l.cfg.Mode)
	if err != nil {
		return nil, err
	}
	if err := file.Chmod(l.cfg.Mode); err != nil { // the umask does not decide
		file.Close()
		return nil, err
	}
	return file, nil
}

// Append writes text, which is whole lines, to one file, rotating before it if
// it would not fit. begin, if given, is told where the text will start just
// before it is written, so that a caller who is killed while it is written can
// Rewind there. raw is how many bytes of output the text stands for: if it
// cannot be written, nothing of it remains in the file, they count as dropped
// and the error is returned.
func (l *Log) Append(text []byte, raw int, begin func(Position)) error {
	if l.cfg.Path == "" || len(text) == 0 {
		return nil
	}
	err := l.append(text, begin)
	if err != nil {
		l.dropped.Add(int64(raw))
	}
	return err
}

func (l *Log) append(text []byte, begin func(Position)) error {
	at, err := l.makeRoom(int64(len(text)))
	if err != nil {
		return err
	}
	if begin != nil {
		begin(at)
	}
	if _, err := l.file.Write(text); err != nil {
		return errors.Join(fmt.Errorf("write log: %w", err), l.file.Truncate(at.Offset))
	}
	return nil
}

// makeRoom returns where the next write goes, after opening or rotating.
func (l *Log) makeRoom(size int64) (Position, error) {
	if err := l.Open(); err != nil {
		return Position{}, err
	}
	at, linked, err := position(l.file)
	if err != nil {
		return Position{}, err
	}
	switch {
	case !linked: // somebody deleted it; write where readers look
		if err := l.Reopen(); err != nil {
			return Position{}, err
		}
	case at.Offset > 0 && at.Offset+size > l.cfg.MaxSize:
		if err := l.rotate(); err != nil {
			return at, nil // a file that is too long is better than none
		}
	default:
		return at, nil
	}
	at, _, err = position(l.file)
	return at, err
}

func position(file *os.File) (at Position, linked bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return Position{}, false, fmt.Errorf("look at log: %w", err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return Position{Inode: stat.Ino, Offset: info.Size()}, stat.Nlink > 0, nil
}

// Rewind cuts off what an Append that was killed may have left behind at.
// A file that is another one by now is left alone.
func (l *Log) Rewind(at Position) error {
	if l.cfg.Path == "" {
		return nil
	}
	if err := l.Open(); err != nil {
		return err
	}
	now, _, err := position(l.file)
	if err != nil || now.Inode != at.Inode || now.Offset <= at.Offset {
		return err
	}
	return l.file.Truncate(at.Offset)
}

// Reopen opens the file by its path again, after somebody else moved it.
func (l *Log) Reopen() error {
	if l.cfg.Path == "" {
		return nil
	}
	old := l.file
	l.file = nil
	err := l.Open()
	if err != nil {
		l.file = old
		return err
	}
	if old != nil {
		old.Close()
	}
	return nil
}

// Dropped is how many bytes of output could not be written. It may be called
// at any time.
func (l *Log) Dropped() int64 { return l.dropped.Load() }

// Close closes the file.
func (l *Log) Close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// rotate renames the current file to Path.YYYYMMDD-HHMMSS, starts a new one
// and deletes the oldest beyond MaxFiles.
func (l *Log) rotate() error {
	if l.cfg.MaxFiles == 1 {
		return l.file.Truncate(0)
	}
	old := l.file
	name := rotatedName(l.cfg.Path, time.Now())
	if err := os.Rename(l.cfg.Path, name); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	file, err := l.open()
	if err != nil {
		return errors.Join(fmt.Errorf("rotate log: %w", err), os.Rename(name, l.cfg.Path))
	}
	l.file = file
	old.Close()
	l.prune()
	return nil
}

const rotatedLayout = "20060102-150405"

// rotatedName is the first name at or after now that is newer than every
// rotated file, so names stay in order when a file fills up more than once a
// second or the clock is set back.
func rotatedName(path string, now time.Time) string {
	now = now.UTC()
	if old := Rotated(path); len(old) > 0 {
		newest, err := time.Parse(rotatedLayout, strings.TrimPrefix(old[len(old)-1], path+"."))
		if err == nil && !now.Truncate(time.Second).After(newest) {
			now = newest.Add(time.Second)
		}
	}
	return path + "." + now.Format(rotatedLayout)
}

// prune deletes the oldest rotated files. One that cannot be deleted is tried
// again at the next rotation.
func (l *Log) prune() {
	old := Rotated(l.cfg.Path)
	for len(old) > l.cfg.MaxFiles-1 {
		_ = os.Remove(old[0])
		old = old[1:]
	}
}

// Rotated lists the rotated files of a log, the oldest first.
func Rotated(path string) []string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	prefix := filepath.Base(path) + "."
	var found []string
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		if _, err := time.Parse(rotatedLayout, stamp); err == nil {
			found = append(found, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	sort.Strings(found)
	return found
}
