package image

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// recheck is how soon a file that is being written is looked at again: nothing tells
// that its writer is done.
const recheck = 250 * time.Millisecond

// retry is how often a folder that cannot be watched is looked at.
const retry = 5 * time.Second

// mostSettle is how long a file that is written to puts off the others.
const mostSettle = 2 * time.Second

// Run follows the archive folder until the context ends. It looks once at once.
// Trouble with the folder or a file ends nothing: see Archives.
func (s *Store) Run(ctx context.Context) error {
	if s.archives == "" {
		<-ctx.Done()
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch archive folder: %w", err)
	}
	defer w.Close()
	pending := alarm{timer: time.NewTimer(0), latest: time.Now()}
	defer pending.timer.Stop()
	watching := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			// Events were lost at worst; look at everything.
			s.log.Warn("watch archive folder", "err", err)
			pending.within(0)
		case e := <-w.Events:
			if e.Name == s.archives && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)) {
				watching = false // the watch went with the folder
			}
			if e.Name == s.archives || isArchiveName(filepath.Base(e.Name)) {
				pending.within(settle(e))
			}
		case <-pending.timer.C:
			pending.latest = time.Time{}
			again := s.scan(ctx) // makes the folder when it is missing
			switch {
			case !watching && w.Add(s.archives) == nil:
				watching = true
				pending.within(0) // what came between the look and the watch
			case !watching:
				pending.within(retry)
			case again:
				pending.within(recheck)
			}
		}
	}
}

// alarm is a timer that is put off by what comes, but not for ever.
type alarm struct {
	timer  *time.Timer
	latest time.Time // zero: it is not set
}

func (a *alarm) within(d time.Duration) {
	now := time.Now()
	if a.latest.IsZero() {
		a.latest = now.Add(max(d, mostSettle))
	}
	a.timer.Reset(min(d, a.latest.Sub(now)))
}

// settle gathers the events of one change. A write is followed by more; a rename is done.
func settle(e fsnotify.Event) time.Duration {
	if e.Has(fsnotify.Write) {
		return recheck
	}
	return 10 * time.Millisecond
}

func (s *Store) scan(ctx context.Context) (again bool) {
	again, err := s.LoadArchives(ctx)
	if err != nil && ctx.Err() == nil {
		s.log.Error("image archives are not taken up", "err", err)
	}
	return again
}
