package main

import (
	"context"
	"fmt"
	"path/filepath"

	"writ/reconcile/loop"
	"writ/state"
	"writ/state/history"
	gitsync "writ/sync"
)

// openHistory opens what became of each commit. Nothing rests on it: on a full disk the node does without.
func (n *node) openHistory() {
	h, err := history.Open(history.Config{Path: filepath.Join(n.cfg.dataDir, "history")})
	if err != nil {
		n.log.Warn("history of commits is not kept", "err", err)
		return
	}
	n.history = h
}

// passed remembers how far a commit has come.
func (n *node) passed(p state.Progress) {
	if n.history == nil {
		return
	}
	if err := n.history.Record(p); err != nil {
		n.log.Warn("history of commits is not kept", "err", err)
	}
}

// refused remembers a commit that the mirror does not hand out.
func (n *node) refused(r gitsync.Refused) { n.passed(refusal(r, n.cfg.ref)) }

// refusal is how far a commit has come that the mirror does not hand out.
func refusal(r gitsync.Refused, branch string) state.Progress {
	p := state.Progress{
		Commit: r.Hash, Branch: branch, Subject: r.Subject, Author: author(r.Author, r.Email), Committed: r.When,
		Seen: state.Stage{At: r.Why.Since},
	}
	if r.Why.Kind == gitsync.Untrusted || r.Why.Kind == gitsync.Rewritten {
		p.Verified.Reason = r.Why.Text
	} else {
		p.Rendered.Reason = r.Why.Text
	}
	return p
}

func author(name, email string) string { return fmt.Sprintf("%s <%s>", name, email) }

// History is what became of the last commits, newest first.
func (n *node) History(limit int) []state.Progress {
	if n.history == nil {
		return nil
	}
	return n.history.List(limit)
}

// newest is how far the newest commit has come, as it is remembered: a start takes nothing back.
func (n *node) newest(r loop.Report, source gitsync.State) state.Progress {
	p := r.Progress()
	if source.Refused != nil {
		p = refusal(*source.Refused, source.Ref)
	}
	if last := n.History(1); len(last) > 0 && last[0].Commit == p.Commit {
		return last[0].Merge(p)
	}
	return p
}

// Superseded gives the newest commit where a commit can no longer be adopted because of it: it was seen
// before, or comes before the newest in its history. Empty while that is not so.
func (n *node) Superseded(ctx context.Context, commit string) string {
	newest := n.mirror.State().Newest
	if newest == "" || begins(newest, commit) {
		return ""
	}
	for _, p := range n.History(0) {
		if begins(p.Commit, commit) {
			return newest
		}
	}
	if before, err := n.mirror.Ancestor(ctx, commit, newest); err != nil || !before { // the beginning of a hash is an error
		return ""
	}
	return newest
}

// adoptedBefore reads the adopted commit again after a start.
func (n *node) adoptedBefore(_ context.Context, hash string) (loop.Commit, error) {
	c, err := n.mirror.Commit(hash)
	if err != nil {
		return loop.Commit{}, err
	}
	return n.commit(c), nil
}
