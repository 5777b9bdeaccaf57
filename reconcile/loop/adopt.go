package loop

import (
	"context"
	"errors"
	"time"

	"writ/reconcile"
	"writ/state"
)

// take receives what the loader read.
func (l *Loop) take(ctx context.Context, c loaded) {
	if c.restore {
		if c.commit.Hash == l.store.World().Adopted().Commit && l.Set() == nil {
			l.candidate = &c // adopting it again finds what is missing
		}
		return
	}
	l.tell(func(r *Report) { r.Loading = false })
	if c.err != nil {
		l.refuse(&c, c.err)
		return
	}
	l.candidate = &c
}

// refuse keeps a commit from being adopted, and says why. The one before stays in force.
func (l *Loop) refuse(c *loaded, err error) {
	if l.candidate == c {
		l.candidate = nil
	}
	if c.restore {
		l.log.Warn("adopted commit cannot be adopted again", "commit", c.commit.Hash, "err", err)
		return
	}
	var held reconcile.Held
	mistakes, wrong := mistakesOf(err)
	l.log.Warn("commit is not adopted", "commit", c.commit.Hash, "mistakes", len(mistakes), "err", err)
	l.tell(func(r *Report) {
		if r.Newest.Hash != c.commit.Hash {
			return
		}
		r.Adopted, r.Since, r.Mistakes, r.Held, r.Unread = false, time.Now(), nil, "", ""
		switch {
		case wrong:
			r.Mistakes = mistakes
		case errors.As(err, &held):
			r.Held = held.Reason
		default:
			r.Unread = err.Error()
		}
	})
}

// adopted says that a commit is in force.
func (l *Loop) adopted(c *loaded, plan reconcile.Plan) {
	l.candidate = nil
	l.memory.SetSet(c.set)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set = c.set
	l.report.Warnings = c.set.Warnings()
	if plan.Batch.Adopt != nil {
		l.log.Info("commit adopted", "commit", c.commit.Hash, "subject", c.commit.Subject, "puts", len(plan.Batch.Puts), "deletes", len(plan.Batch.Deletes))
	}
	if !c.restore && l.report.Newest.Hash == c.commit.Hash {
		r := &l.report
		r.Adopted, r.Since, r.Mistakes, r.Held, r.Unread = true, time.Now(), nil, "", ""
	}
}

// commit is a loaded commit as the computation knows it.
func (l *Loop) commit(ctx context.Context, w *state.World, c *loaded) reconcile.Commit {
	return reconcile.Commit{
		Hash: c.commit.Hash, Tree: c.commit.Tree, Branch: c.commit.Branch, Subject: c.commit.Subject,
		Author: c.commit.Author, Committed: c.commit.Committed, Trailers: c.commit.Trailers,
		Rewritten: l.rewritten(ctx, w.Adopted().Commit, c.commit.Hash),
	}
}

// rewritten says that a commit does not come after the adopted one. What cannot be found out counts
// as rewritten: that only keeps it from deleting.
func (l *Loop) rewritten(ctx context.Context, adopted, next string) bool {
	if adopted == "" || adopted == next || l.cfg.Ancestor == nil {
		return false
	}
	follows, err := l.cfg.Ancestor(ctx, adopted, next)
	if err != nil {
		l.log.Warn("history of a commit cannot be read", "commit", next, "err", err)
	}
	return !follows
}
