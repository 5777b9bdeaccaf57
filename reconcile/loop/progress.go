package loop

import (
	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// Tally is how many declared objects an adoption made, moved on and removed.
type Tally struct{ Created, Changed, Deleted int }

// tally counts what a Plan does to what is declared, in the World that it was computed from.
func tally(w *state.World, set *manifest.Set, plan *reconcile.Plan) Tally {
	touched := map[manifest.Ref]bool{} // and whether the object itself is put
	for i := range plan.Batch.Deletes {
		touched[plan.Batch.Deletes[i].Ref] = false
	}
	for i := range plan.Batch.Puts {
		if p := &plan.Batch.Puts[i]; p.Object != nil || p.Deletion != nil {
			touched[p.Ref] = p.Object != nil
		}
	}
	var t Tally
	for ref, put := range touched {
		old := w.Get(ref)
		was := old != nil && (old.Origin == state.Authored || old.Origin == state.Restored)
		_, is := set.Get(ref)
		switch {
		case was && is && put:
			t.Changed++
		case was && !is:
			t.Deleted++
		case !was && is && put:
			t.Created++
		}
	}
	return t
}

// progress is how far a commit has come, for history.
func progress(c Commit, s Stages, t Tally) state.Progress {
	return state.Progress{
		Commit: c.Hash, Branch: c.Branch, Subject: c.Subject, Author: c.Author, Committed: c.Committed,
		Seen: s.Seen, Verified: s.Verified, Rendered: s.Rendered, Adopted: s.Adopted, Healthy: s.Healthy,
		Created: t.Created, Changed: t.Changed, Deleted: t.Deleted,
	}
}

// Progress is how far Newest has come; zero before the first commit.
func (r *Report) Progress() state.Progress {
	if r.Newest.Hash == "" {
		return state.Progress{}
	}
	return progress(r.Newest, r.Stages, r.Tally)
}

// pass tells how far the newest commit has come, if that is news.
func (l *Loop) pass() {
	l.telling.Lock() // so that nothing older is told after something newer
	defer l.telling.Unlock()
	l.mu.Lock()
	p := l.report.Progress()
	l.mu.Unlock()
	if p.Commit != "" && p != l.told {
		l.told = p
		l.cfg.Progress(p)
	}
}

// passed tells of a commit that was adopted while a newer one was read already.
func (l *Loop) passed(c *loaded, adopted state.Stage, t Tally) {
	s := started(c.commit)
	s.Rendered, s.Adopted = state.Stage{At: c.at}, adopted
	l.telling.Lock()
	defer l.telling.Unlock()
	l.cfg.Progress(progress(c.commit, s, t))
}
