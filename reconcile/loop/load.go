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
	hints   manifest.Mistakes // what is warned of beside mistakes
	at      time.Time         // when it was read
	restore bool              // the adopted commit again, after a start
}

// supersedeAfter is how long a commit that came waits for the one before it to be read, which may still
// be good for something; then that one is given up.
const supersedeAfter = 10 * time.Second

// What a commit needs from elsewhere may be away: a chart's server, a key service. Then it is read again,
// at first soon and then more and more seldom.
const (
	retryFirst = 5 * time.Second
	retryLast  = 5 * time.Minute
)

// retry is a commit that could not be read for a reason that lies outside of it.
type retry struct {
	commit Commit
	at     <-chan time.Time // nil when there is none
	wait   time.Duration    // until the last try, 0 before the first
}

// after plans another try, if there is a point in it.
func (r retry) after(got loaded) retry {
	if _, wrong := mistakesOf(got.err); got.err == nil || wrong {
		return retry{}
	}
	wait := min(max(2*r.wait, retryFirst), retryLast)
	return retry{got.commit, time.After(wait), wait}
}

// reading is a commit that is being read.
type reading struct {
	done   chan loaded
	revoke context.CancelCauseFunc
	late   <-chan time.Time // nil while no newer one waits
}

func (l *Loop) begin(ctx context.Context, c Commit, last loaded) *reading {
	ctx, revoke := context.WithCancelCause(ctx)
	r := &reading{done: make(chan loaded, 1), revoke: revoke}
	go func() {
		got := l.read(ctx, c, last)
		got.at = time.Now()
		r.done <- got
	}()
	return r
}

// end gives a reading up and waits for its end.
func (r *reading) end(why error) {
	if r != nil {
		r.revoke(why)
		<-r.done
	}
}

// load reads commits, always the newest that came, and hands them on. It ends with ctx.
func (l *Loop) load(ctx context.Context, out chan<- loaded) {
	var last loaded
	var now *reading
	var next *Commit
	var again retry
	defer func() { now.end(nil) }()
	ready := l.loadAdopted(ctx)
	if ready != nil {
		last = *ready
	}
	commits := l.cfg.Commits
	for {
		if now == nil && next != nil {
			now, next = l.begin(ctx, *next, last), nil
		}
		var hand chan<- loaded
		var first loaded
		if ready != nil {
			hand, first = out, *ready
		}
		var done <-chan loaded
		var late <-chan time.Time
		if now != nil {
			late = now.late
			if ready == nil || !ready.restore { // what is adopted is handed on before anything newer
				done = now.done
			}
		}
		select {
		case <-ctx.Done():
			return
		case hand <- first:
			ready = nil
		case c, ok := <-commits: // it supersedes one that nobody looked at yet
			if !ok {
				commits = nil
				continue
			}
			c = newest(commits, c)
			if c.Seen.IsZero() {
				c.Seen = time.Now()
			}
			l.came(c)
			again = retry{}
			if next = &c; now != nil && now.late == nil {
				now.late = time.After(supersedeAfter)
			}
		case <-late:
			now.end(errSuperseded)
			now = nil
		case got := <-done:
			now.revoke(nil)
			now = nil
			if got.set != nil {
				last = got
			}
			ready = &got
			if again = again.after(got); next != nil {
				again = retry{}
			}
		case <-again.at:
			c := again.commit
			again.at, next = nil, &c
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
	got := l.read(ctx, c, loaded{})
	got.restore = true
	if got.err != nil {
		l.log.Warn("adopted commit cannot be read again", "commit", hash, "err", got.err)
		return nil
	}
	return &got
}

// read loads one commit; its tree can be read as long as ctx lasts. A panic over its content is a
// mistake of the commit.
func (l *Loop) read(ctx context.Context, c Commit, last loaded) (got loaded) {
	if last.set != nil && c.Tree != "" && c.Tree == last.commit.Tree {
		return loaded{commit: c, set: last.set}
	}
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("panic while a commit was read", "commit", c.Hash, "panic", p, "stack", string(debug.Stack()))
			got = loaded{commit: c, err: panicked(p)}
		}
	}()
	told, err := l.cfg.Loader.Check(revocable{ctx, c.FS}, last.set)
	if err == nil && len(told.Mistakes) > 0 {
		return loaded{commit: c, err: told.Mistakes, hints: told.Warnings}
	}
	return loaded{commit: c, set: told.Set, err: err}
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
