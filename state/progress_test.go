package state

import (
	"testing"
	"time"
)

func at(seconds int) Stage { return Stage{At: start.Add(time.Duration(seconds) * time.Second)} }

func TestProgress_Outcome(t *testing.T) {
	for name, c := range map[string]struct {
		p      Progress
		newest bool
		want   Outcome
		took   time.Duration
	}{
		"seen":                     {Progress{Seen: at(0)}, true, UnderWay, 0},
		"seen, then another":       {Progress{Seen: at(0)}, false, Superseded, 0},
		"mistakes":                 {Progress{Seen: at(0), Verified: at(1), Rendered: Stage{Reason: "a.yaml:1: no"}}, true, Stopped, time.Second},
		"mistakes, then another":   {Progress{Seen: at(0), Rendered: Stage{Reason: "a.yaml:1: no"}}, false, Stopped, 0},
		"held":                     {Progress{Seen: at(0), Verified: at(0), Rendered: at(2), Adopted: Stage{Reason: "it deletes"}}, true, Stopped, 2 * time.Second},
		"a note is no stop":        {Progress{Seen: at(0), Verified: Stage{At: start, Reason: "signed by a"}}, true, UnderWay, 0},
		"adopted":                  {Progress{Seen: at(0), Adopted: at(3)}, true, InForce, 3 * time.Second},
		"adopted and not yet well": {Progress{Seen: at(0), Adopted: at(3), Healthy: Stage{Reason: "Pod/a is waiting"}}, true, InForce, 3 * time.Second},
		"adopted, then another":    {Progress{Seen: at(0), Adopted: at(3)}, false, InForce, 3 * time.Second},
		"healthy":                  {Progress{Seen: at(0), Adopted: at(3), Healthy: at(9)}, false, Healthy, 9 * time.Second},
	} {
		if got := c.p.Outcome(c.newest); got != c.want || c.p.Took() != c.took {
			t.Errorf("%s: %s after %s, want %s after %s", name, got, c.p.Took(), c.want, c.took)
		}
	}
}

func TestProgress_Merge(t *testing.T) {
	held := Progress{Commit: "c", Subject: "one", Seen: at(0), Verified: at(1), Rendered: at(2), Adopted: Stage{Reason: "it deletes"}, Created: 3}
	again := Progress{Commit: "c", Subject: "two", Seen: at(50), Verified: at(50)} // after a restart
	want := held
	want.Subject = "two"
	if got := held.Merge(again); got != want {
		t.Errorf("seen again: %+v, want %+v", got, want)
	}
	done := again
	done.Rendered, done.Adopted, done.Changed = at(51), at(52), 7
	want.Adopted, want.Created, want.Changed = at(52), 0, 7
	if got := held.Merge(done); got != want {
		t.Errorf("adopted later: %+v, want %+v", got, want)
	}
}
