package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"writ/disk"
	"writ/state"
)

// DefaultBytes is the limit of the file, unless another is given.
const DefaultBytes = 1 << 20

// Of one commit no more is kept than this, in bytes.
const (
	longestReason = 1 << 10
	longestText   = 256
	longestLine   = 64 << 10 // all of it, each byte escaped
)

// Config says where a History is kept.
type Config struct {
	Path  string // of the file; its folder must be there
	Bytes int    // limit of the file; zero means DefaultBytes, less than 256 KiB is not possible
}

// History is the commits of a cluster. Its methods may be called from any goroutine.
type History struct {
	path  string
	limit int64

	mu      sync.Mutex
	file    *os.File
	size    int64            // of the file
	commits []state.Progress // oldest first
}

// Open reads a history, or begins one.
func Open(cfg Config) (*History, error) {
	if cfg.Path == "" {
		return nil, errors.New("open history: no file is given")
	}
	h := &History{path: cfg.Path, limit: DefaultBytes}
	if cfg.Bytes > 0 {
		h.limit = int64(max(cfg.Bytes, 4*longestLine))
	}
	if err := h.read(); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if err := h.rewrite(); err != nil { // without what was torn, passed over or told again
		return nil, fmt.Errorf("open history: %w", err)
	}
	return h, nil
}

func (h *History) read() error {
	f, err := os.Open(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(io.LimitReader(f, h.limit+longestLine), longestLine)
	for {
		line, err := lines.ReadSlice('\n')
		var p state.Progress
		if err == nil && json.Unmarshal(line, &p) == nil && p.Commit != "" {
			h.take(p)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// take puts a commit in its place, and says whether that changes anything. A commit that comes again
// after others were seen is a new entry.
func (h *History) take(p state.Progress) (state.Progress, bool) {
	n := len(h.commits)
	for i := n - 1; i >= 0; i-- {
		old := h.commits[i]
		if old.Commit != p.Commit || i < n-1 && !sameSight(old, p) {
			continue
		}
		next := old.Merge(p)
		h.commits[i] = next
		return next, next != old
	}
	h.commits = append(h.commits, p)
	return p, true
}

// sameSight says that two tell of one commit seen at one time, and not of one that came back.
func sameSight(a, b state.Progress) bool { return a.Seen.At.Equal(b.Seen.At) }

// Record tells how far a commit has come, as often as anybody likes: what is known already costs
// nothing. With an error it is remembered in memory and not on disk.
func (h *History) Record(p state.Progress) error {
	if p.Commit == "" {
		return errors.New("record history: no commit is given")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	next, changed := h.take(short(p))
	if !changed {
		return nil
	}
	if err := h.write(next); err != nil {
		return fmt.Errorf("record history: %w", err)
	}
	return nil
}

func (h *History) write(p state.Progress) error {
	if h.file == nil {
		return fs.ErrClosed
	}
	line, err := encode(p)
	if err != nil {
		return err
	}
	if h.size+int64(len(line)) > h.limit {
		return h.rewrite()
	}
	n, err := h.file.Write(line)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, h.file.Truncate(h.size))
		}
		return err
	}
	h.size += int64(n)
	return nil
}

// rewrite makes the file again, of the newest commits that fill half of it at most; older ones are forgotten.
func (h *History) rewrite() error {
	var lines [][]byte
	size := 0
	for _, p := range slices.Backward(h.commits) {
		line, err := encode(p)
		if err != nil {
			return err
		}
		if size += len(line); int64(size) > h.limit/2 {
			break
		}
		lines = append(lines, line)
	}
	slices.Reverse(lines)
	data := bytes.Join(lines, nil)
	if err := disk.Replace(h.path, data); err != nil {
		return err
	}
	f, err := os.OpenFile(h.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if h.file != nil {
		_ = h.file.Close() // it has no name any more
	}
	h.file, h.size = f, int64(len(data))
	h.commits = slices.Clone(h.commits[len(h.commits)-len(lines):])
	return nil
}

// List is the last commits, newest first; limit 0 means all that are kept.
func (h *History) List(limit int) []state.Progress {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.commits)
	if limit > 0 {
		n = min(n, limit)
	}
	list := slices.Clone(h.commits[len(h.commits)-n:])
	slices.Reverse(list)
	return list
}

// Close brings everything to disk. What was told may still be listed.
func (h *History) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file == nil {
		return nil
	}
	err := errors.Join(h.file.Sync(), h.file.Close())
	h.file = nil
	if err != nil {
		return fmt.Errorf("close history: %w", err)
	}
	return nil
}

func encode(p state.Progress) ([]byte, error) {
	line, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("commit %.12s: %w", p.Commit, err)
	}
	return append(line, '\n'), nil
}

// short bounds the texts of a commit, and makes its times what a file gives back.
func short(p state.Progress) state.Progress {
	for text, limit := range map[*string]int{
		&p.Commit: longestText, &p.Branch: longestText, &p.Subject: longestText, &p.Author: longestText,
		&p.Seen.Reason: longestReason, &p.Verified.Reason: longestReason, &p.Rendered.Reason: longestReason,
		&p.Adopted.Reason: longestReason, &p.Healthy.Reason: longestReason,
	} {
		*text = cut(*text, limit)
	}
	p.Committed = p.Committed.UTC()
	for _, s := range []*state.Stage{&p.Seen, &p.Verified, &p.Rendered, &p.Adopted, &p.Healthy} {
		s.At = s.At.Round(0).UTC()
	}
	return p
}

func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	const more = " ..."
	end := limit - len(more)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}
