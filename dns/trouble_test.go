package dns

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestServer_TroubleSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		if s.Trouble() != "" || !s.TroubleSince().IsZero() {
			t.Errorf("at first %q since %s", s.Trouble(), s.TroubleSince())
		}
		began := time.Now()
		if !s.troubled("in use") {
			t.Error("the first is no news")
		}
		time.Sleep(time.Minute)
		if s.troubled("in use by another") {
			t.Error("the second is news")
		}
		if s.Trouble() != "in use by another" || !s.TroubleSince().Equal(began) {
			t.Errorf("%q since %s, want since %s", s.Trouble(), s.TroubleSince(), began)
		}
	})
}
