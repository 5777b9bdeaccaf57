package loop

import (
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// recovering is a tree that cannot be read until it is mended.
type recovering struct {
	fs.FS
	mended *atomic.Bool
	tried  *atomic.Int32
}

func newRecovering(tree fs.FS) recovering {
	return recovering{tree, new(atomic.Bool), new(atomic.Int32)}
}

func (r recovering) Open(name string) (fs.File, error) {
	if r.mended.Load() {
		return r.FS.Open(name)
	}
	r.tried.Add(1)
	return unreadable{}.Open(name)
}

// What a commit needs from elsewhere may be away for a while: it is read again, and seldom.
func TestLoop_ReadsAgainWhatCouldNotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, commits := running(t, tree(1, 1))
		away := newRecovering(tree(2, 1))
		commits <- r.commit(2, away)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := l.Report().Unread; !strings.Contains(got, "input/output error") {
			t.Errorf("report while it cannot be read: %q", got)
		}
		if n := away.tried.Load(); n < 10 || n > 25 {
			t.Errorf("tried %d times in an hour, want about 18", n)
		}
		away.mended.Store(true)
		time.Sleep(retryLast)
		settle()
		r.wantHealthy(2)
		if got := l.Report(); got.Unread != "" || !got.Adopted {
			t.Errorf("report after it was read: %+v", got)
		}
	})
}

// A newer commit takes the place of one that cannot be read.
func TestLoop_NewerCommitInsteadOfAnotherTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, commits := running(t, tree(1, 1))
		away := newRecovering(tree(2, 1))
		commits <- r.commit(2, away)
		time.Sleep(time.Second)
		commits <- r.commit(3, tree(3, 1))
		settle()
		away.mended.Store(true)
		time.Sleep(2 * retryLast)
		settle()
		r.wantHealthy(3)
	})
}
