package decrypt

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"writ/manifest"
	"writ/render/process"
	"writ/render/wire"
)

// Config is what a Decrypter is made of.
type Config struct {
	Program string        // path of the binary writ-render
	Keys    string        // path of the file of keys
	Memory  int64         // bytes for the process, DefaultMemory if 0
	Timeout time.Duration // for one document, DefaultTimeout if 0
	Idle    time.Duration // after which the process is ended, DefaultIdle if 0
	Log     *slog.Logger
}

// What is used if nothing else is said.
const (
	DefaultMemory  = 512 << 20
	DefaultTimeout = 30 * time.Second
	DefaultIdle    = 30 * time.Second
)

// Decrypter implements manifest.Decrypter. It may be used by several goroutines.
type Decrypter struct {
	config Config

	mu     sync.Mutex
	child  *process.Process // nil when none runs
	keys   string           // identity of the file that the child has read
	idle   *time.Timer
	closed bool
}

// New starts the process once, to find out what is wrong with the file of keys. Whoever made the
// Decrypter closes it.
func New(c Config) (*Decrypter, error) {
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Idle == 0 {
		c.Idle = DefaultIdle
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	keys, err := filepath.Abs(c.Keys)
	if err != nil {
		return nil, err
	}
	c.Keys = keys
	d := &Decrypter{config: c}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ready(); err != nil {
		return nil, fmt.Errorf("read decryption keys: %w", err)
	}
	d.rest()
	return d, nil
}

// Close ends the process. Nothing can be decrypted any more.
func (d *Decrypter) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.stop()
}

// KeysID changes when the file of keys is written or replaced. Files that it names are not looked at.
func (d *Decrypter) KeysID() string {
	info, err := os.Lstat(d.config.Keys)
	if err != nil {
		return "away"
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d %d %d %d %d", stat.Dev, stat.Ino, stat.Size, info.ModTime().UnixNano(), stat.Ctim.Nano())
}

// Decrypt opens what was encrypted as one.
func (d *Decrypter) Decrypt(e manifest.Encrypted) (manifest.Clear, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ready(); err != nil {
		return manifest.Clear{}, fmt.Errorf("%w: %w", manifest.ErrUnavailable, err)
	}
	defer d.rest()
	child := d.child
	deadline := time.AfterFunc(d.config.Timeout, child.Kill)
	opened, clear, err := ask(child.Conn, e)
	inTime := deadline.Stop()
	switch {
	case err != nil && !inTime:
		d.discard(child, err)
		return manifest.Clear{}, fmt.Errorf("took longer than %s to decrypt", d.config.Timeout)
	case err != nil:
		d.config.Log.Warn("decrypting process broke off", "path", e.Path, "err", d.discard(child, err))
		return manifest.Clear{}, errors.New("cannot be decrypted: the process that holds the keys broke off")
	case !inTime: // the answer came when it was being killed
		d.stop()
	}
	switch {
	case opened.Away:
		return manifest.Clear{}, fmt.Errorf("%w: %s", manifest.ErrUnavailable, opened.Refused)
	case opened.Refused != "":
		return manifest.Clear{}, errors.New(opened.Refused)
	}
	made := manifest.Clear{Text: clear, Secrecy: manifest.Secrecy{Values: opened.Values}}
	for _, u := range opened.Uses {
		made.Secrecy.Uses = append(made.Secrecy.Uses, manifest.Use{Key: u.Key, Namespaces: u.Namespaces})
	}
	return made, nil
}

func ask(conn *wire.Conn, e manifest.Encrypted) (*wire.Opened, []byte, error) {
	if err := conn.Send(wire.Message{Open: &wire.Open{Path: e.Path, Reader: e.Reader, Format: e.Format}}, e.Data); err != nil {
		return nil, nil, err
	}
	m, clear, err := conn.Receive()
	if err == nil && m.Opened == nil {
		err = errors.New("the process did not answer")
	}
	return m.Opened, clear, err
}

// ready makes sure that a process runs and has read the keys as they are now.
func (d *Decrypter) ready() error {
	if d.closed {
		return errors.New("the node is being stopped")
	}
	if d.idle != nil {
		d.idle.Stop()
	}
	id := d.KeysID()
	if d.child != nil && d.keys == id {
		return nil
	}
	d.stop()
	child, err := process.StartOutside(d.config.Program, "decrypt", fmt.Sprint(d.config.Memory), d.config.Keys)
	if err != nil {
		return err
	}
	deadline := time.AfterFunc(d.config.Timeout, child.Kill)
	m, _, err := child.Conn.Receive()
	if !deadline.Stop() && err == nil {
		err = errors.New("killed, as it took too long to start")
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %s", d.config.Program, child.End(err))
	case m.Ready == nil:
		child.Stop()
		return fmt.Errorf("%s is of another version", d.config.Program)
	case m.Ready.Refused != "":
		child.Stop()
		return errors.New(m.Ready.Refused)
	}
	d.child, d.keys = child, id
	return nil
}

// rest ends the process later, unless it is needed before.
func (d *Decrypter) rest() {
	if d.child == nil {
		return
	}
	child := d.child
	d.idle = time.AfterFunc(d.config.Idle, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.child == child {
			d.stop()
		}
	})
}

// discard ends a process that broke off and says why as far as that cannot hold a value.
func (d *Decrypter) discard(child *process.Process, cause error) string {
	d.child = nil
	if reason := child.End(cause); strings.HasPrefix(reason, "fatal error: ") || strings.Contains(reason, "memory") {
		return "out of memory or another failure of the process itself"
	}
	return cause.Error()
}

func (d *Decrypter) stop() {
	if d.child != nil {
		d.child.Stop()
		d.child = nil
	}
}
