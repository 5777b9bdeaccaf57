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
