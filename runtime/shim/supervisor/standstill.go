package supervisor

import (
	"errors"
	"time"
)

// standstill is a request to the copying of a terminal to stand still. What it
// holds in memory is handed out: a line that was begun.
type standstill struct {
	parked chan []byte
	over   chan struct{}
}

// park is called by who copies; it returns when it is to go on.
func (p *standstill) park(kept []byte) {
	select {
	case p.parked <- kept:
		<-p.over
	case <-p.over:
	}
}

// stand makes the copying stand still between two steps until again is called. It
// is an error if that takes longer than limit, as with a log on a disk that hangs.
func (o *output) stand(limit time.Duration) (kept []byte, again func(), err error) {
	if !o.started {
		return o.kept, func() {}, nil
	}
	if o.terminal != nil {
		return o.standTerminal(limit)
	}
	for deadline := time.Now().Add(limit); !o.mu.TryLock(); time.Sleep(standPeriod) {
		if time.Now().After(deadline) {
			return nil, nil, errLogHangs
		}
	}
	return nil, o.mu.Unlock, nil
}

var errLogHangs = errors.New("its log is being written to all the time, or hangs")

func (o *output) standTerminal(limit time.Duration) (kept []byte, again func(), err error) {
	p := &standstill{parked: make(chan []byte), over: make(chan struct{})}
	o.standing.Store(p)
	_ = o.terminal.master.SetReadDeadline(aLongTimeAgo)
	again = func() {
		o.standing.Store(nil)
		_ = o.terminal.master.SetReadDeadline(time.Time{})
		close(p.over)
	}
	select {
	case kept = <-p.parked:
		return kept, again, nil
	case <-o.left:
		return nil, again, nil
	case <-time.After(limit):
		again()
		return nil, nil, errLogHangs
	}
}
