package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// contents is the table of contents of the log's segments. Killed between the end of a segment and the
// entry of the next one in this table, raft-wal v0.4.0 refuses every later write (ErrSealed). Load
// repairs that before the log is opened, by copying the segment into one without an end.
type contents struct {
	metadb.BoltMetaDB
}

// Load is called once, by wal.Open, which removes segments that are not in the table.
func (c *contents) Load(dir string) (types.PersistentState, error) {
	p, err := c.BoltMetaDB.Load(dir)
	if err != nil || len(p.Segments) == 0 {
		return p, err
	}
	tail := &p.Segments[len(p.Segments)-1]
	if !tail.SealTime.IsZero() {
		return p, nil
	}
	filer := segment.NewFiler(dir, fs.New())
	w, err := filer.RecoverTail(*tail)
	if errors.Is(err, os.ErrNotExist) {
		return p, nil // entered in the table and not yet made: wal.Open makes it
	}
	if err != nil {
		return p, err
	}
	defer w.Close()
	if sealed, _, err := w.Sealed(); err != nil || !sealed {
		return p, err
	}
	if err := copyTail(filer, w, tail, p.NextSegmentID); err != nil {
		return p, fmt.Errorf("mend the last segment: %w", err)
	}
	p.NextSegmentID++
	return p, c.CommitState(p)
}

// copyTail writes the entries of a segment into a new one and makes info its description.
func copyTail(filer *segment.Filer, w types.SegmentWriter, info *types.SegmentInfo, id uint64) error {
	var entries []types.LogEntry
	for i := info.MinIndex; i <= w.LastIndex(); i++ {
		raw, err := w.GetLog(i)
		if err != nil {
			return fmt.Errorf("read entry %d: %w", i, err)
		}
		entries = append(entries, types.LogEntry{Index: i, Data: bytes.Clone(raw.Bs)})
		raw.Close()
	}
	next := *info
	next.ID, next.BaseIndex, next.IndexStart, next.MaxIndex = id, info.MinIndex, 0, 0
	next.SizeLimit *= 2 // or it would end at once again
	if err := filer.Delete(next.BaseIndex, next.ID); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	made, err := filer.Create(next)
	if err != nil {
		return err
	}
	if err := errors.Join(made.Append(entries), made.Close()); err != nil {
		return err
	}
	*info = next
	return nil
}
