package sync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// upstream is the followed repository. fetch finds the followed reference and, unless it names the
// commit known, sees to it that the commit is complete in the mirror. When the reference is found
// but its commit cannot be fetched, target is set beside the error.
type upstream interface {
	fetch(ctx context.Context, db *objects, known plumbing.Hash) (target, error)
}

// target is what the followed reference points to; hash may be that of an annotated tag.
type target struct {
	name string // full name, empty for a commit hash
	hash plumbing.Hash
}

// Mirror follows one repository. Its methods are safe for concurrent use.
type Mirror struct {
	cfg  Config
	src  source
	log  *slog.Logger
	db   *objects
	up   upstream
	out  chan Commit
	lock *os.File // keeps a second process out of Dir

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

// Run looks at the repository until ctx ends: at a remote in intervals, at a local one whenever
// it changes. It returns only ctx's error.
func (m *Mirror) Run(ctx context.Context) error {
	changed, stop := m.watch()
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-changed:
		}
		_ = m.Sync(ctx) // the outcome is in State
		timer.Reset(m.pause())
	}
}

// watch begins to watch a local repository. Without a watch the channel is nil.
func (m *Mirror) watch() (changed <-chan struct{}, stop func()) {
	l, ok := m.up.(*local)
	if !ok {
		return nil, func() {}
	}
	w, err := newWatcher(l.src.path, m.log)
	if err != nil {
		m.log.Warn("repository is polled because it cannot be watched", "err", err)
		return nil, func() {}
	}
	use := func(w *watcher) {
		m.look.Lock()
		defer m.look.Unlock()
		l.watcher = w
	}
	use(w)
	return w.changed, func() {
		use(nil)
		w.stop()
	}
}

// pause is the time to the next look: the interval give or take a tenth, and up to 20 times as
// long while the server refuses the credentials, so that it does not lock the account.
func (m *Mirror) pause() time.Duration {
	d := m.cfg.Interval
	if s := m.State(); s.Trouble != nil && s.Trouble.Kind == Login {
		d = min(max(d, time.Since(s.Trouble.Since)/2), 20*d)
	}
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}

// Sync looks at the repository now and returns when a new commit, if there is one, is in Commits.
// The error is the trouble that State shows.
func (m *Mirror) Sync(ctx context.Context) error {
	m.look.Lock()
	defer m.look.Unlock()
	t, c, p := m.once(ctx)
	if p != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	m.mu.Lock()
	before := m.state.Trouble
	m.state.note(time.Now(), p)
	if !t.hash.IsZero() {
		m.state.Resolved = t.name
	}
	if c != nil {
		m.state.Newest = c.Hash.String()
	} else if !t.hash.IsZero() && !strings.HasPrefix(t.name, "refs/tags/") { // the hash of a tag is no commit's
		m.state.Newest = t.hash.String()
	}
	m.state.Delivered = hashText(m.sent)
	m.mu.Unlock()
	m.report(before, p)
	if p != nil {
		return p
	}
	// The commit is on its way; what follows need not keep it waiting. A local commit that a loss
	// of power takes from the mirror is copied again.
	if err := errors.Join(m.db.settle(), m.db.consolidate()); err != nil {
		m.log.Warn("mirror cannot be tidied", "err", err)
	}
	return nil
}

// report logs trouble when it begins, changes and ends, not at every look.
func (m *Mirror) report(before *Trouble, p *problem) {
	switch {
	case p == nil && before != nil:
		m.log.Info("repository is followed again", "was", before.Text)
	case p != nil && (before == nil || before.Kind != p.kind || before.Text != p.Error()):
		m.log.Warn("repository cannot be followed", "kind", p.kind, "err", p)
	}
}

// once is one look: fetch, check, deliver. c is nil when the newest commit is not known.
func (m *Mirror) once(ctx context.Context) (target, *object.Commit, *problem) {
	t, err := m.up.fetch(ctx, m.db, m.sent)
	if err != nil {
		return t, nil, explain(m.src.String(), err)
	}
	c, err := peel(m.db, t.hash)
	if err != nil {
		return t, nil, explain(m.src.String(), err)
	}
	if c.Hash == m.sent && m.live {
		return t, c, nil
	}
	if err := m.deliver(ctx, c); err != nil {
		return t, c, explain(m.src.String(), err)
	}
	return t, c, nil
}

// deliver remembers a commit that is complete in the mirror and puts it into out.
func (m *Mirror) deliver(ctx context.Context, c *object.Commit) error {
	out, err := newCommit(m.db, c, m.cfg.folder())
	if err != nil {
		return err
	}
	base := m.base
	select {
	case old := <-m.out: // nobody took it
		defer func() {
			if err != nil {
				m.out <- old
			}
		}()
	default:
		base = m.sent
	}
	if !base.IsZero() {
		var ok bool
		if ok, err = m.db.descends(ctx, c.Hash, base); err != nil {
			return err
		}
		out.Rewritten = !ok
	}
	if err = m.db.remember(m.key(), c.Hash); err != nil {
		return err
	}
	m.base, m.sent, m.live = base, c.Hash, true
	m.out <- out
	m.log.Info("commit delivered", "commit", out.Hash, "subject", out.Subject, "rewritten", out.Rewritten)
	return nil
}

func hashText(h plumbing.Hash) string {
	if h.IsZero() {
		return ""
	}
	return h.String()
}

var errInUse = errors.New("another process uses this mirror")
