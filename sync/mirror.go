package sync

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// upstream is the followed repository. fetch finds the followed reference and, unless it names the
// commit known, sees to it that the commit is complete in the mirror. When the reference is found
// but its commit cannot be fetched, target is set beside the error.
type upstream interface {
	fetch(ctx context.Context, db *objects, known plumbing.Hash) (target, error)
	// trees opens where the directories of every commit are that the last fetch brought; the caller
	// calls done.
	trees(db *objects) (from objectSource, done func(), err error)
}

// target is what the followed reference points to; hash may be that of an annotated tag.
type target struct {
	name string // full name, empty for a commit hash
	hash plumbing.Hash
}

// Mirror follows one repository. Its methods are safe for concurrent use.
type Mirror struct {
	cfg   Config
	src   source
	log   *slog.Logger
	db    *objects
	up    upstream
	out   chan Commit
	nudge chan struct{} // holds at most one
	lock  *os.File      // keeps a second process out of Dir

	look sync.Mutex // one look at a time; guards what follows
	// base is the commit that the receiver last took, as far as can be known, and sent the one
	// that was last put into out.
	base, sent plumbing.Hash
	live       bool // sent was delivered by this process

	mu    sync.Mutex
	state State
}

// New opens or makes the mirror in cfg.Dir and puts the commit that was delivered last, if it was
// from the same address and reference, into Commits, without asking the server. The caller owns the
// Mirror and closes it.
func New(cfg Config, log *slog.Logger) (*Mirror, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure sync: %w", err)
	}
	cfg = cfg.withDefaults()
	src, err := parseSource(cfg.URL)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make mirror: %w", err)
	}
	if err := os.Chmod(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("close mirror to others: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	m := &Mirror{
		cfg: cfg, src: src, log: log, lock: lock,
		out:   make(chan Commit, 1),
		nudge: make(chan struct{}, 1),
		state: State{URL: src.String(), Ref: cfg.Ref, Path: cfg.folder()},
	}
	if src.plain(cfg.Credentials) {
		log.Warn("credentials are sent over http without encryption", "url", src.String())
	}
	if err := m.open(); err != nil {
		lock.Close()
		return nil, err
	}
	return m, nil
}

// open readies the mirror and the upstream and delivers what is there already.
func (m *Mirror) open() error {
	db, err := openObjects(filepath.Join(m.cfg.Dir, "repository"), m.cfg.MaxFile)
	if err != nil {
		return err
	}
	m.db = db
	if m.src.kind == sourceLocal {
		m.up = &local{cfg: m.cfg, src: m.src}
	} else {
		m.up = &remote{cfg: m.cfg, src: m.src}
	}
	return m.restore()
}

// restore delivers the commit remembered from an earlier run. A mirror that is damaged is emptied:
// the next look fills it again.
func (m *Mirror) restore() error {
	kept, same, err := m.db.delivered(m.key())
	if err != nil || kept.IsZero() {
		return err
	}
	m.base, m.sent = kept, kept
	c, err := m.db.commit(kept)
	if err == nil {
		err = m.db.complete(c.TreeHash, plumbing.ZeroHash)
	}
	if err != nil {
		m.log.Warn("mirror is damaged and will be fetched again", "commit", kept, "err", err)
		return m.db.wipe()
	}
	if !same {
		return nil
	}
	if m.cfg.Trust.Files.Set() && m.inForce() != kept {
		return nil // it has to be verified: the next look does
	}
	out, err := newCommit(m.db, c, m.cfg.folder())
	if err != nil {
		m.log.Debug("remembered commit does not hold the followed folder", "commit", kept, "err", err)
		return nil
	}
	m.out <- out
	m.state.Newest, m.state.Delivered = out.Hash, out.Hash
	m.live = true
	return nil
}

// Close releases the folder. Run must have returned.
func (m *Mirror) Close() error {
	m.db.Close()
	return m.lock.Close()
}

// Commits gives each new commit, the remembered one first. It holds only the newest: what a slow
// receiver did not take is replaced.
func (m *Mirror) Commits() <-chan Commit { return m.out }

// Commit reads a commit again that was handed out before, maybe by an earlier process. Signer and
// Rewritten are not known any more.
func (m *Mirror) Commit(hash string) (Commit, error) {
	if !plumbing.IsHash(hash) {
		return Commit{}, fmt.Errorf("read commit %q: not a hash", hash)
	}
	c, err := m.db.commit(plumbing.NewHash(hash))
	if err == nil {
		err = m.db.complete(c.TreeHash, plumbing.ZeroHash)
	}
	if err != nil {
		return Commit{}, fmt.Errorf("read commit %.12s: %w", hash, err)
	}
	return newCommit(m.db, c, m.cfg.folder())
}

// Nudge makes Run look now. It returns at once; nudges during a look become one more look.
func (m *Mirror) Nudge() {
	select {
	case m.nudge <- struct{}{}:
	default:
	}
}

// State is a copy of what is known now.
func (m *Mirror) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.state
	if s.Trouble != nil {
		t := *s.Trouble
		s.Trouble = &t
	}
	return s
}

// Ancestor tells whether the commit old is new or one that new descends from. An unknown old is
// nobody's ancestor; an unknown new is an error.
func (m *Mirror) Ancestor(ctx context.Context, old, new string) (bool, error) {
	if !plumbing.IsHash(old) || !plumbing.IsHash(new) {
		return false, fmt.Errorf("compare commits %q and %q: not hashes", old, new)
	}
	return m.db.descends(ctx, plumbing.NewHash(new), plumbing.NewHash(old))
}
