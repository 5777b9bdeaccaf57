package runtime

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"writ/runtime/shim"
	"writ/state"
)

// recordFormat begins the note that a shim keeps: the Pod's record, then those of
// its kin, each with its length before it. The note beside a volume is alike.
const recordFormat = "writ-pod-1\n"

// keepRecord puts the Pod and its kin beside the containers, so that a node whose
// store is lost knows what runs. It is done beside the start, and again when the
// object changed.
func (w *worker) keepRecord() {
	pod := w.record.Pod()
	if w.shim == nil || w.put == pod || w.desired.Gone {
		return
	}
	data, err := encodeKin(w.record, w.r.view())
	if err != nil {
		w.r.log.Warn("pod cannot be written down", "pod", w.ref.String(), "err", err)
		w.put = pod
		return
	}
	w.put = pod
	s := w.shim
	w.task(func() {
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		if err := s.PutRecord(ctx, data); err != nil && ctx.Err() == nil {
			w.r.log.Warn("pod is not written down", "pod", w.ref.String(), "err", err)
			w.post(func() { w.put = nil })
		}
	})
}

func encodeKin(pod *state.Record, view state.View) ([]byte, error) {
	records := slices.AppendSeq([]*state.Record{pod}, view.Kin(pod))
	// The resolver's address is in the Pod's resolv.conf: names are to be answered there
	// before any commit is adopted again.
	if r := view.Service("kube-system", "kube-dns"); r != nil {
		records = append(records, r)
	}
	return encodeRecords(records...)
}

func encodeRecords(records ...*state.Record) ([]byte, error) {
	out := []byte(recordFormat)
	for _, r := range records {
		data, err := state.EncodeRecord(r)
		if err != nil {
			return nil, err
		}
		out = binary.AppendUvarint(out, uint64(len(data)))
		out = append(out, data...)
	}
	return out, nil
}

func decodeKin(data []byte) ([]*state.Record, error) {
	if len(data) < len(recordFormat) || string(data[:len(recordFormat)]) != recordFormat {
		return nil, errors.New("decode pod record: unknown format")
	}
	data = data[len(recordFormat):]
	var out []*state.Record
	for len(data) > 0 {
		size, n := binary.Uvarint(data)
		if n <= 0 || size > uint64(len(data)-n) {
			return nil, errors.New("decode pod record: it is cut off")
		}
		r, err := state.DecodeRecord(data[n : n+int(size)])
		if err != nil {
			return nil, fmt.Errorf("decode pod record: %w", err)
		}
		out = append(out, r)
		data = data[n+int(size):]
	}
	return out, nil
}

// Restore reads what the shims of this node remember: every Pod with its owners and
// Services, each record once, Pods bound to this node. With them go the volumes that
// are folders of this node, and their claims. It starts and stops nothing.
func (r *Runtime) Restore(ctx context.Context) ([]*state.Record, error) {
	var out []*state.Record
	seen := map[types.UID]int{}
	take := func(rec *state.Record) {
		at, ok := seen[rec.UID]
		switch {
		case !ok:
			seen[rec.UID] = len(out)
			out = append(out, rec)
		case out[at].Revision < rec.Revision:
			out[at] = rec
		}
	}
	for _, rec := range r.restoreVolumes() {
		take(rec)
	}
	for _, uid := range r.onDisk() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		records, err := r.readRecord(uid)
		if err != nil {
			r.log.Warn("what a shim remembers is not readable", "uid", string(uid), "err", err)
			continue
		}
		for i, rec := range records {
			if i == 0 && rec.Node == "" {
				rec.Node = r.cfg.Node
			}
			take(rec)
		}
	}
	return out, nil
}

func (r *Runtime) readRecord(uid types.UID) ([]*state.Record, error) {
	data, err := os.ReadFile(shim.RecordPath(r.cfg.pod("", "", uid).run))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeKin(data)
}

// remembered is the record of one Pod, nil if its shim kept none.
func (r *Runtime) remembered(uid types.UID) *state.Record {
	records, err := r.readRecord(uid)
	if err != nil || len(records) == 0 || records[0].UID != uid || records[0].Pod() == nil {
		return nil
	}
	return records[0]
}
