package supervisor

import (
	"bytes"

	"writ/runtime/shim/crilog"
)

// taps are the attached clients of one container. One that does not keep up
// is cut off, because a slow client must not stop a container.
type taps struct {
	all    map[*tap]struct{}
	closed bool
}

// tap receives copies of what the container prints. Its channel is closed when
// the container has ended or the tap was cut off.
type tap struct {
	chunks chan tapped
	cut    bool // set before the channel is closed: it was too slow
}

type tapped struct {
	stream crilog.Stream
	data   []byte
}

const tapBacklog = 64

func (t *taps) add() *tap {
	added := &tap{chunks: make(chan tapped, tapBacklog)}
	if t.closed {
		close(added.chunks)
		return added
	}
	if t.all == nil {
		t.all = map[*tap]struct{}{}
	}
	t.all[added] = struct{}{}
	return added
}

func (t *taps) remove(gone *tap) {
	if _, ok := t.all[gone]; ok {
		delete(t.all, gone)
		close(gone.chunks)
	}
}

func (t *taps) send(stream crilog.Stream, data []byte) {
	if len(data) == 0 {
		return
	}
	for to := range t.all {
		select {
		case to.chunks <- tapped{stream, bytes.Clone(data)}:
		default:
			to.cut = true
			t.remove(to)
		}
	}
}

func (t *taps) close() {
	for to := range t.all {
		t.remove(to)
	}
	t.closed = true
}

// attach adds a tap to the output.
func (o *output) attach() *tap {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taps.add()
}

func (o *output) detach(t *tap) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taps.remove(t)
}
