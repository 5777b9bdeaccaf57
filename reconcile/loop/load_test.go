package loop

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"
	"testing/synctest"
)

// However busy the loop is at a start, what is adopted comes before a newer commit, which may be mistaken.
func TestLoad_AdoptedComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close()
		_, _, stop := r.start(r.commit(1, tree(1, 1)))
		settle()
		stop()
		commits := make(chan Commit, 1)
		l := r.loop(commits)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out := make(chan loaded)
		newer := r.commit(2, fstest.MapFS{"a.yaml": {Data: []byte("kind: Nonsense\n")}})
		go l.load(ctx, out)
		commits <- newer
		synctest.Wait() // both are read, and nobody has asked for either
		for n, restore := range []bool{true, false} {
			if got := <-out; got.restore != restore || got.commit.Hash != fmt.Sprintf("%040d", n+1) {
				t.Errorf("%d: got commit %.40s, restored %t", n+1, got.commit.Hash, got.restore)
			}
		}
	})
}
