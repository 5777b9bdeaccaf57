package loop

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"writ/manifest"
	"writ/reconcile"
	"writ/state"
)

// Store is where Batches become true.
type Store interface {
	World() *state.World
	// Since gives the changes after a revision with the World that they lead to; false if it is too old.
	Since(rev state.Revision) (changes []state.Change, w *state.World, ok bool)
	// Changed is closed once the World is past a revision.
	Changed(rev state.Revision) <-chan struct{}
	Propose(ctx context.Context, b state.Batch) (state.Revision, error)
}

// Commit is a commit to adopt: what people know of it, and its tree.
type Commit struct {
	Hash      string
	Tree      string // hash of the whole repository
	Branch    string // the followed branch, tag or commit
	Subject   string
	Author    string // name <mail>
	Committed time.Time
	// Trailers of the message by canonical name ("Allow-Delete"), every value of each.
	Trailers map[string][]string
	// Seen is when the commit was noticed; zero: when it came here. Verified is when its signatures
	// were found good, and Signer whose they are; zero: nobody asks for signatures.
	Seen, Verified time.Time
	Signer         string
	// FS is the whole repository; Config.Loader says which folder of it is followed.
	FS fs.FS
}

// Config is what a Loop needs beside its Store.
type Config struct {
	// Commits are the commits to follow, newest last.
	Commits <-chan Commit
	// Loader reads them.
	Loader manifest.Loader
	// Ancestor says that a commit is another one or comes before it in its history. Without it every
	// commit counts as following the adopted one.
	Ancestor func(ctx context.Context, old, new string) (bool, error)
	// Adopted reads a commit that was adopted before the start. Optional: without it, declared Pods that
	// are lost wait until the same or a newer commit comes.
	Adopted func(ctx context.Context, hash string) (Commit, error)
	// Options are those of the computation; its Set is the loop's own.
	Options reconcile.Options
	// ClockSet gets a value when the clock on the wall was set (see Clock). Optional: without it what became due by that is
	// noticed with the next change.
	ClockSet <-chan struct{}
	// Now is the clock on the wall; nil is the machine's.
	Now func() time.Time
	// Record tells people what happened. Optional.
	Record func(state.Event)
	// Progress is told how far a commit has come, at every change of that. It must return soon. Optional.
	Progress func(state.Progress)
}

// Validate finds what cannot work.
func (c Config) Validate() error {
	if c.Commits == nil {
		return errors.New("loop: no commits to follow")
	}
	return nil
}
