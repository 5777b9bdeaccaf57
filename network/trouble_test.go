package network

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestNetwork_TroubleSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		began := time.Now()
		n.setTrouble(errors.New("no link"))
		time.Sleep(time.Minute)
		n.setTrouble(errors.New("no table"))
		if n.Trouble() != "no table" || !n.TroubleSince().Equal(began) {
			t.Errorf("%q since %s, want since %s", n.Trouble(), n.TroubleSince(), began)
		}
		n.setTrouble(nil)
		if n.Trouble() != "" || !n.TroubleSince().IsZero() {
			t.Errorf("afterwards %q since %s", n.Trouble(), n.TroubleSince())
		}
	})
}

// TestWait_NoticesLeaveARetryAlone: what failed may have caused them, and would be done again at once and for ever.
func TestWait_NoticesLeaveARetryAlone(t *testing.T) {
	for _, retry := range []bool{true, false} {
		l := loop{n: &Network{wake: make(chan struct{}, 1)}, feed: newFeed(t)}
		l.tried = l.feed.World().Revision()
		if retry {
			l.retry = make(chan time.Time)
		}
		l.n.suspect(suspectLinks)
		if again, err := l.wait(t.Context(), &watcher{}); again || err != nil {
			t.Errorf("a notice calls for a step at once: %t, %v", again, err)
		}
		if looks := l.links != nil; looks == retry {
			t.Errorf("with a retry under way %t, links are looked at before it %t", retry, looks)
		}
	}
}
