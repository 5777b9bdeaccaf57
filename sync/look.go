package sync

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

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
		case <-m.nudge:
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
	refused := m.state.refuse(c, p)
	news := m.state.Refused
	if !t.hash.IsZero() {
		m.state.Resolved = t.name
	}
	if c != nil {
		m.state.Newest = c.Hash.String()
	} else if !t.hash.IsZero() && !strings.HasPrefix(t.name, "refs/tags/") { // the hash of a tag is no commit's
		m.state.Newest = t.hash.String()
	}
	if m.live {
		m.state.Delivered = m.sent.String()
	}
	m.mu.Unlock()
	m.report(before, p)
	if refused && m.cfg.Refused != nil {
		m.cfg.Refused(*news)
	}
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
	case p != nil && (before == nil || before.Kind != p.kind || before.Text != printable(p.Error())):
		m.log.Warn("repository cannot be followed", "kind", p.kind, "err", p)
	}
}

// once is one look: fetch, check, verify, deliver. c is nil when the newest commit is not known.
func (m *Mirror) once(ctx context.Context) (target, *object.Commit, *problem) {
	known := m.sent
	if !m.db.has(known) { // the mirror was emptied
		known = plumbing.ZeroHash
	}
	t, err := m.up.fetch(ctx, m.db, known)
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
	if out.Signer, err = m.verify(ctx, c); err != nil {
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
