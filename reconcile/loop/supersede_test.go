package loop

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"writ/state"
	"writ/state/history"
)

// hanging is a tree whose files cannot be read to the end before it is let go.
type hanging struct {
	fs.FS
	release <-chan struct{}
	asked   *atomic.Int32
}

func (h hanging) Open(name string) (fs.File, error) {
	h.asked.Add(1)
	if strings.HasSuffix(name, ".yaml") {
		<-h.release
	}
	return h.FS.Open(name)
}

// A commit that does not get on, for whatever reason and at whichever stage, gives way to a newer one.
func TestLoop_NewerSupersedes(t *testing.T) {
	for name, c := range map[string]struct {
		tree    fs.FS
		full    bool // the store takes nothing
		stage   string
		reason  string
		outcome state.Outcome
		changes string
	}{
		"mistake":    {tree: fstest.MapFS{"a.yaml": {Data: []byte("kind: Nonsense\n")}}, stage: "seen verified", reason: "a.yaml:1: ", outcome: state.Stopped},
		"unreadable": {tree: unreadable{}, stage: "seen verified", reason: "input/output error", outcome: state.Stopped},
		"guard":      {tree: fstest.MapFS{}, stage: "seen verified rendered", reason: "declares no object", outcome: state.Stopped},
		"suspended":  {tree: with("{suspend: {reason: moving}}", 1, 1), stage: "seen verified rendered", reason: "moving", outcome: state.Stopped},
		"disk full":  {tree: tree(4, 1), full: true, stage: "seen verified rendered", reason: "no space left", outcome: state.Stopped},
		"never healthy": {tree: fstest.MapFS{"web.yaml": {Data: []byte(strings.Replace(fmt.Sprintf(deployment, 2, 2), "spec: {containers",
			"spec: {nodeSelector: {is: nowhere}, containers", 1))}}, stage: "seen verified rendered adopted", reason: "Deployment/default/web is ", outcome: state.InForce, changes: "0/1/0"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := history.Open(history.Config{Path: filepath.Join(t.TempDir(), "history")})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.close()
				r.progress = func(p state.Progress) {
					if err := h.Record(p); err != nil {
						t.Error(err)
					}
				}
				full, _ := r.fillable()
				l, commits, stop := r.start(r.commit(1, tree(2, 1)))
				defer stop()
				settle()
				full.Store(c.full)
				commits <- r.commit(2, c.tree)
				settle()
				rep := l.Report()
				why := rep.Stages.Rendered.Reason + rep.Stages.Adopted.Reason + rep.Stages.Healthy.Reason
				if got := reached(rep.Stages); got != c.stage || !strings.Contains(why, c.reason) {
					t.Errorf("stuck: reached %q because %q, want %q because %q", got, why, c.stage, c.reason)
				}
				full.Store(false)
				commits <- r.commit(3, tree(3, 3))
				settle()
				r.wantHealthy(3)
				if rep := l.Report(); !rep.Adopted || reached(rep.Stages) != "seen verified rendered adopted healthy" {
					t.Errorf("the newer one: %+v", rep)
				}
			})
			list := h.List(0)
			if len(list) != 3 || list[0].Outcome(true) != state.Healthy || list[1].Outcome(false) != c.outcome || list[2].Outcome(false) != state.Healthy {
				t.Fatalf("history %+v, want healthy, %s, healthy", list, c.outcome)
			}
			if got := fmt.Sprintf("%d/%d/%d", list[2].Created, list[2].Changed, list[2].Deleted); got != "3/0/0" {
				t.Errorf("the first made, changed and deleted %s objects", got)
			}
			if got := fmt.Sprintf("%d/%d/%d", list[1].Created, list[1].Changed, list[1].Deleted); c.changes != "" && got != c.changes {
				t.Errorf("the one that is stuck made, changed and deleted %s objects, want %s", got, c.changes)
			}
		})
	}
}

// A commit that waits for room gives way to a newer one even if that is refused: what is told to be
// superseded never comes back.
func TestLoop_RefusedSupersedes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, commits := running(t, tree(1, 1))
		full, _ := r.fillable()
		full.Store(true)
		commits <- r.commit(2, tree(2, 2))
		settle()
		commits <- r.commit(3, fstest.MapFS{"a.yaml": {Data: []byte("kind: Nonsense\n")}})
		settle()
		full.Store(false)
		settle()
		r.wantHealthy(1)
		if rep := l.Report(); len(rep.Mistakes) == 0 || rep.Adopted || rep.Trouble != "" {
			t.Errorf("the newest one: %+v", rep)
		}
	})
}

// A commit whose tree takes forever to read is given up once a newer one has waited for it.
func TestLoop_NewerSupersedesReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, commits := running(t, tree(2, 1))
		release := make(chan struct{})
		files := fstest.MapFS{}
		for i := range 100 {
			files[fmt.Sprintf("%03d/web.yaml", i)] = &fstest.MapFile{Data: []byte("# nothing\n")}
		}
		slow := hanging{FS: files, release: release, asked: new(atomic.Int32)}
		commits <- r.commit(2, slow)
		settle()
		if rep := l.Report(); !rep.Loading || reached(rep.Stages) != "seen verified" {
			t.Errorf("while it is read: %+v", rep)
		}
		commits <- r.commit(3, tree(3, 3))
		time.Sleep(supersedeAfter + time.Second)
		synctest.Wait()
		asked := slow.asked.Load()
		close(release) // the one file that hangs; no other is asked for
		settle()
		if got := slow.asked.Load(); got > asked {
			t.Errorf("%d files more were read of the commit that was given up", got-asked)
		}
		r.wantHealthy(3)
		if rep := l.Report(); !rep.Adopted || rep.Newest.Hash != r.commits[fmt.Sprintf("%040d", 3)].Hash || rep.Loading {
			t.Errorf("the newer one: %+v", rep)
		}
	})
}
