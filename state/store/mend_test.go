package store

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/types"
)

// torn is a table of contents that cannot be written any more: what a kill leaves behind.
type torn struct {
	contents
	dead bool
}

func (t *torn) CommitState(p types.PersistentState) error {
	if t.dead {
		return errors.New("killed")
	}
	return t.contents.CommitState(p)
}

func TestContents_MendsSegmentThatEnded(t *testing.T) {
	dir := t.TempDir()
	table := &torn{}
	log := quiet{testLog(t)}.hclog()
	files, err := wal.Open(dir, wal.WithSegmentSize(64<<10), wal.WithMetaStore(table), wal.WithLogger(log))
	if err != nil {
		t.Fatal(err)
	}
	index := uint64(0)
	entry := func() *raft.Log { index++; return &raft.Log{Index: index, Term: 1, Data: make([]byte, 20<<10)} }
	for range 2 {
		if err := files.StoreLog(entry()); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.DeleteRange(1, 1); err != nil { // the segment now begins below its first entry
		t.Fatal(err)
	}
	table.dead = true
	for range 2 {
		if err := files.StoreLog(entry()); err != nil {
			break
		}
	}
	if err := errors.Join(files.Close(), table.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and it stays mended
		table := &contents{}
		files, err = wal.Open(dir, wal.WithSegmentSize(64<<10), wal.WithMetaStore(table), wal.WithLogger(log))
		if err != nil {
			t.Fatal(err)
		}
		last, err := files.LastIndex()
		if err != nil || last < 3 {
			t.Fatalf("last index %d, %v; want at least 3", last, err)
		}
		index = last
		if err := files.StoreLog(entry()); err != nil {
			t.Fatalf("write after reopening: %v", err)
		}
		for i := uint64(2); i <= index; i++ {
			var l raft.Log
			if err := files.GetLog(i, &l); err != nil || len(l.Data) != 20<<10 {
				t.Fatalf("entry %d: %d bytes, %v", i, len(l.Data), err)
			}
		}
		if err := errors.Join(files.Close(), table.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
