package runtime

import (
	"context"
	"errors"
	"time"

	"writ/runtime/shim"
)

const (
	// upgradesAtOnce is how many shims become another program at the same time.
	upgradesAtOnce = 2
	// upgradeFirst is between the first two tries for a Pod that is busy; it doubles up to backoffMax.
	upgradeFirst = time.Second
)

// upgradeShim makes a shim that an earlier daemon started the program that this one
// would start: the process stays, and so do containers, output and terminals. While
// somebody has a session in the Pod it is put off.
func (w *worker) upgradeShim() {
	w.task(func() {
		for failures := 1; ; failures++ {
			done, err := w.tryUpgrade()
			switch {
			case done || w.ctx.Err() != nil:
				return
			case errors.Is(err, shim.ErrUnsupported):
				w.r.log.Info("shim stays as it is while its pod lives", "pod", w.ref.String(), "err", err)
				return
			case !errors.Is(err, shim.ErrConflict):
				w.r.log.Warn("shim is not upgraded", "pod", w.ref.String(), "err", err)
			}
			select {
			case <-time.After(doubling(upgradeFirst, failures-1)):
			case <-w.ctx.Done():
				return
			case <-w.done:
				return
			}
		}
	})
}

// tryUpgrade reports whether there is nothing more to do.
func (w *worker) tryUpgrade() (done bool, err error) {
	select {
	case w.r.upgrades <- struct{}{}:
		defer func() { <-w.r.upgrades }()
	case <-w.ctx.Done():
		return true, nil
	}
	if w.ending.Load() {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	build, err := w.r.shims.Upgrade(ctx, w.paths.run)
	if err == nil && build != "" {
		w.r.log.Info("shim is upgraded", "pod", w.ref.String(), "build", build)
	}
	return err == nil || errors.Is(err, shim.ErrNoShim), err
}
