package loop

import (
	"context"
	"errors"
	"time"

	"writ/manifest"
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
	l.parked = nil // the newer one supersedes it
	if l.candidate != nil && !l.candidate.restore {
		l.candidate = nil // it too, even if the newer one is refused
	}
	l.tell(func(r *Report) {
		if r.Newest.Hash != c.commit.Hash {
			return // a newer one is being read
		}
		r.Loading = false
		if c.err == nil && !r.Stages.Rendered.Reached() {
			r.Stages.Rendered = state.Stage{At: c.at}
		}
	})
	if c.err != nil {
		l.refuse(&c, c.err)
		return
	}
	l.candidate = &c
}

// park keeps a commit until its suspension ends.
func (l *Loop) park(c *loaded, s *manifest.Suspend) {
	l.candidate, l.parked = nil, c
	l.log.Warn("adopting is suspended", "commit", c.commit.Hash, "reason", s.Reason, "until", s.Until)
	l.tell(func(r *Report) {
		if r.Newest.Hash == c.commit.Hash {
			r.hold("adopting is suspended by spec.suspend of writ.yaml: " + s.String())
			r.Suspend = s
		}
	})
}

// unpark makes a commit the candidate again once its suspension has ended.
func (l *Loop) unpark(now time.Time) {
	if l.parked == nil || l.candidate != nil || l.parked.suspend().Active(now) {
		return
	}
	l.candidate, l.parked = l.parked, nil
	l.tell(func(r *Report) { r.Suspend = nil })
}

func (c *loaded) suspend() *manifest.Suspend { return c.set.Settings().Spec.Suspend }

// refuse keeps a commit from being adopted, and says why. The one before stays in force.
func (l *Loop) refuse(c *loaded, err error) {
	if l.candidate == c {
		l.candidate = nil
	}
	if c.restore {
		l.log.Warn("adopted commit cannot be adopted again", "commit", c.commit.Hash, "err", err)
		return
	}
	mistakes, wrong := mistakesOf(err)
	if c.err == nil && wrong { // it can be read, but cannot take the place of what there is
		c.set.Locate(c.commit.FS, mistakes)
	}
	l.log.Warn("commit is not adopted", "commit", c.commit.Hash, "mistakes", len(mistakes), "err", err)
	l.tell(func(r *Report) {
		if r.Newest.Hash != c.commit.Hash {
			return
		}
		var held reconcile.Held
		switch {
		case wrong:
			r.hold("")
			r.Mistakes, r.Hints = mistakes, c.hints
			r.Stages.stop(c.err != nil, mistakenText(mistakes))
		case errors.As(err, &held):
			r.hold(held.Reason)
			r.Deletes, r.Add = held.Deletes, held.Add
		default:
			r.hold("")
			r.Unread = err.Error()
			r.Stages.stop(c.err != nil, r.Unread)
		}
	})
}

// adopted says that a commit is in force.
func (l *Loop) adopted(c *loaded, plan reconcile.Plan, did Tally) {
	l.candidate = nil
	l.memory.SetSet(c.set)
	l.sick = manifest.Ref{}
	stage := state.Stage{At: l.store.World().Adopted().Adopted}
	var newest bool
	l.tell(func(r *Report) {
		l.set = c.set
		r.Warnings = c.set.Warnings()
		if newest = r.Newest.Hash == c.commit.Hash; newest && !c.restore {
			r.hold("")
			r.Adopted = true
			r.Stages.Adopted, r.Tally = stage, did
		}
	})
	if !newest && !c.restore {
		l.passed(c, stage, did)
	}
	if plan.Batch.Adopt != nil {
		l.log.Info("commit adopted", "commit", c.commit.Hash, "subject", c.commit.Subject, "puts", len(plan.Batch.Puts), "deletes", len(plan.Batch.Deletes))
	}
}

// commit is a loaded commit as the computation knows it.
func (l *Loop) commit(ctx context.Context, w *state.World, c *loaded) reconcile.Commit {
	return reconcile.Commit{
		Hash: c.commit.Hash, Tree: c.commit.Tree, Branch: c.commit.Branch, Subject: c.commit.Subject,
		Author: c.commit.Author, Committed: c.commit.Committed, Trailers: c.commit.Trailers,
		Rewritten: l.rewritten(ctx, w.Adopted().Commit, c.commit.Hash), Restored: c.restore,
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
