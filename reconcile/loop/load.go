package loop

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"writ/manifest"
)

// loaded is a commit that was read, or the reason why it could not be.
type loaded struct {
	commit  Commit
	set     *manifest.Set
	err     error
	at      time.Time // when it was read
	restore bool      // the adopted commit again, after a start
}

// load reads commits, always the newest that came, and hands them on. It ends with ctx.
func (l *Loop) load(ctx context.Context, out chan<- loaded) {
	var last loaded
	commits := l.cfg.Commits
	if done := l.loadAdopted(ctx); done != nil {
		last = *done
		select {
		case out <- last:
		case <-ctx.Done():
			return
		}
	}
	var ready *loaded
	for {
		var hand chan<- loaded
		var next loaded
		if ready != nil {
			hand, next = out, *ready
		}
		select {
		case <-ctx.Done():
			return
		case hand <- next:
			ready = nil
		case c, ok := <-commits: // it supersedes one that nobody looked at yet
			if !ok {
				commits = nil
				continue
			}
			if c = newest(commits, c); c.Seen.IsZero() {
				c.Seen = time.Now()
			}
			l.came(c)
			got := l.read(c, last)
			got.at = time.Now()
			if got.set != nil {
				last = got
			}
			ready = &got
		}
	}
}

// newest takes every commit that is waiting and keeps the last.
func newest(commits <-chan Commit, c Commit) Commit {
	for {
		select {
		case next, ok := <-commits:
			if !ok {
				return c
			}
			c = next
		default:
			return c
		}
	}
}

// loadAdopted reads the adopted commit again after a start.
func (l *Loop) loadAdopted(ctx context.Context) *loaded {
	hash := l.store.World().Adopted().Commit
	if hash == "" || l.cfg.Adopted == nil {
		return nil
	}
	c, err := l.cfg.Adopted(ctx, hash)
	if err != nil {
		l.log.Warn("adopted commit cannot be read again", "commit", hash, "err", err)
		return nil
	}
	got := l.read(c, loaded{})
	got.restore = true
	if got.err != nil {
		l.log.Warn("adopted commit cannot be read again", "commit", hash, "err", got.err)
		return nil
	}
	return &got
}

// read loads one commit. A panic over its content is a mistake of the commit.
func (l *Loop) read(c Commit, last loaded) (got loaded) {
	if last.set != nil && c.Tree != "" && c.Tree == last.commit.Tree {
		return loaded{commit: c, set: last.set}
	}
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("panic while a commit was read", "commit", c.Hash, "panic", p, "stack", string(debug.Stack()))
			got = loaded{commit: c, err: panicked(p)}
		}
	}()
	set, err := l.cfg.Loader.Load(c.FS, last.set)
	return loaded{commit: c, set: set, err: err}
}

// panicked makes a panic a mistake that can be reported.
func panicked(p any) error {
	return manifest.Mistakes{{What: fmt.Sprintf("internal error: %v", p)}}
}

// mistakesOf are the mistakes that an error stands for; ok is false for other errors.
func mistakesOf(err error) (m manifest.Mistakes, ok bool) {
	ok = errors.As(err, &m)
	return m, ok
}
