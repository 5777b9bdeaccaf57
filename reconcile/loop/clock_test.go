package loop

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	batchv1 "k8s.io/api/batch/v1"

	"writ/manifest"
)

// fakeTimer is a timer of the kernel on a clock that the test sets.
type fakeTimer struct {
	set    chan error
	closed chan struct{}
	once   sync.Once
}

func (f *fakeTimer) Read([]byte) (int, error) {
	select {
	case err := <-f.set:
		return 0, err
	case <-f.closed:
		return 0, io.ErrClosedPipe
	}
}

func (f *fakeTimer) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

func TestClock_SaysEachTimeThatItWasSet(t *testing.T) {
	f := &fakeTimer{set: make(chan error), closed: make(chan struct{})}
	armed := 0
	c := newClock(f, func() error { armed++; return nil })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	for range 3 {
		f.set <- unix.ECANCELED
		<-c.Set()
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || armed != 3 {
		t.Errorf("ended with %v, armed %d times again, want 3", err, armed)
	}
	broken := newClock(&fakeTimer{set: make(chan error, 1), closed: make(chan struct{})}, func() error { return nil })
	broken.timer.(*fakeTimer).set <- unix.EBADF
	if err := broken.Run(t.Context()); !errors.Is(err, unix.EBADF) {
		t.Errorf("a broken timer: %v", err)
	}
}

func TestClock_OfTheKernelEnds(t *testing.T) {
	c, err := NewClock()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

const nightly = `{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {schedule: "0 * * * *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "img:1"}]}}}}}}`

// A clock that is set forward makes due what lies between at once; set back, nothing runs a second time.
func TestLoop_LooksAgainWhenTheClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close()
		commits := make(chan Commit, 1)
		commits <- r.commit(1, fstest.MapFS{"cron.yaml": {Data: []byte(nightly)}})
		l := r.loop(commits)
		var ahead atomic.Int64
		set := make(chan struct{})
		l.cfg.ClockSet = set
		l.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() { _ = l.Run(ctx) })
		defer wait.Wait()
		defer cancel()
		settle()
		jump := func(d time.Duration) {
			ahead.Add(int64(d))
			set <- struct{}{}
			synctest.Wait()
		}
		last := func() time.Time {
			record := r.store.World().Get(manifest.Ref{Group: "batch", Kind: "CronJob", Namespace: "default", Name: "nightly"})
			if s, ok := record.Status.(*batchv1.CronJobStatus); ok && s.LastScheduleTime != nil {
				return s.LastScheduleTime.Time
			}
			return time.Time{}
		}
		if ran := last(); !ran.IsZero() {
			t.Fatalf("ran at %v already", ran)
		}
		jump(90 * time.Minute)
		first := last()
		if first.IsZero() || l.cfg.Now().Sub(first) > time.Hour {
			t.Fatalf("set forward to %v: ran last at %v", l.cfg.Now(), first)
		}
		jump(-time.Hour)
		time.Sleep(50 * time.Minute) // in the bubble
		synctest.Wait()
		if again := last(); !again.Equal(first) {
			t.Errorf("set back to %v: ran at %v, and at %v", l.cfg.Now(), first, again)
		}
		time.Sleep(80 * time.Minute)
		synctest.Wait()
		if next := last(); !next.Equal(first.Add(time.Hour)) {
			t.Errorf("at %v it ran last at %v, want an hour after %v", l.cfg.Now(), next, first)
		}
	})
}
