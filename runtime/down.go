package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Down ends every Pod of this node gracefully and takes away all that is left of
// them; it works beside Run and without it. With purge the directories of all Pods go
// as well. The World is not changed: a daemon that is started again makes the Pods anew.
func (r *Runtime) Down(ctx context.Context, purge bool) error {
	r.closing.Store(true)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	for _, uid := range r.onDisk() {
		if r.workers[uid] == nil {
			r.hire(ctx, r.orphan(uid))
		}
	}
	var waiting []*worker
	for _, w := range r.workers {
		waiting = append(waiting, w)
		w.ending.Store(true)
		w.ring()
	}
	r.mu.Unlock()
	for _, w := range waiting {
		select {
		case <-w.done:
		case <-ctx.Done():
			return fmt.Errorf("stop pods: %w", ctx.Err())
		}
	}
	if left := r.onDisk(); len(left) > 0 {
		return fmt.Errorf("stop pods: %d are left, among them %s", len(left), left[0])
	}
	errs := []error{removeCgroups(ctx, r.cfg.cgroupRoot())}
	if purge {
		for _, dir := range []string{filepath.Join(r.cfg.DataDir, "pods"), filepath.Join(r.cfg.RunDir, "pods"), filepath.Join(r.cfg.RunDir, filtersName)} {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

// hierarchies are where groups may be.
func hierarchies() ([]string, error) {
	const base = "/sys/fs/cgroup"
	all := []string{base}
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, filepath.Join(base, e.Name()))
		}
	}
	return all, nil
}

// removePodCgroup removes a Pod's groups, in which nothing runs any more. Most often there are none.
func removePodCgroup(ctx context.Context, pod string) error {
	all, err := hierarchies()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, h := range all {
		if err := removeTree(ctx, filepath.Join(h, pod)); err != nil {
			return err
		}
	}
	return nil
}

// removeTree removes a group with all below it: programs that manage groups make their own in that of their container.
func removeTree(ctx context.Context, group string) error {
	entries, err := os.ReadDir(group)
	if err != nil {
		return nil // there is none
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := removeTree(ctx, filepath.Join(group, e.Name())); err != nil {
			return err
		}
	}
	return removeCgroup(ctx, group)
}

// removeCgroups removes the node's own groups, which hold nothing any more.
func removeCgroups(ctx context.Context, root string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range all {
		for _, group := range []string{filepath.Join(h, root, "shims"), filepath.Join(h, root)} {
			errs = append(errs, removeCgroup(ctx, group))
		}
	}
	return errors.Join(errs...)
}

// removeCgroup waits a moment for a process that is still ending in it.
func removeCgroup(ctx context.Context, group string) error {
	for tries := 0; ; tries++ {
		err := os.Remove(group)
		switch {
		case err == nil, errors.Is(err, os.ErrNotExist):
			return nil
		case !errors.Is(err, syscall.EBUSY) || tries == 100:
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
