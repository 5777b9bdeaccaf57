package store

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// decisions is the log: raft with this node as its only voter.
type decisions struct {
	folder    string
	raft      *raft.Raft
	files     *wal.WAL
	contents  *contents // of the log; closing files does not close it
	snapshots *raft.FileSnapshotStore
	logs      *remembering
	transport *raft.InmemTransport
	id        raft.ServerID
	address   raft.ServerAddress
}

// openLog opens the files of the log; raft is started later, by start.
func openLog(dir string, id identity, log quiet) (*decisions, error) {
	folder := filepath.Join(dir, logDir)
	if err := checkLog(folder, id.Made); err != nil {
		return nil, unusable(dir, err)
	}
	for _, made := range []string{folder, filepath.Join(dir, checkpointDir)} {
		if err := os.MkdirAll(made, 0o700); err != nil {
			return nil, fmt.Errorf("make the log's folders: %w", err)
		}
	}
	table := &contents{}
	files, err := guarded(func() (*wal.WAL, error) {
		return wal.Open(folder, wal.WithSegmentSize(segmentSize), wal.WithMetaStore(table), wal.WithLogger(log.hclog()))
	})
	if err != nil {
		return nil, errors.Join(unusable(dir, fmt.Errorf("open log: %w", err)), table.Close())
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, 1, log.hclog())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open checkpoints: %w", err), files.Close(), table.Close())
	}
	address, transport := raft.NewInmemTransport(raft.ServerAddress(id.Member.String()))
	transport.Connect(address, transport)
	return &decisions{folder: folder, files: files, contents: table, snapshots: snapshots, transport: transport, id: raft.ServerID(id.Member.String()), address: address}, nil
}

// segmentSize is that of the files of the log, which are made in full.
const segmentSize = 8 << 20

// size is about how many bytes the log has, not counting the segment that is being filled.
func (d *decisions) size() (int64, error) {
	segments, err := filepath.Glob(filepath.Join(d.folder, "*.wal"))
	if err != nil {
		return 0, fmt.Errorf("measure log: %w", err)
	}
	return int64(max(0, len(segments)-1)) * segmentSize, nil
}

// guarded turns a panic over garbled files into an error.
func guarded[T any](open func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its files are garbled: %v", p)
		}
	}()
	return open()
}

// checkLog recognises a log whose file of contents is gone: it would be taken for a new one.
func checkLog(folder string, made bool) error {
	if !made {
		return nil
	}
	if _, err := os.Stat(filepath.Join(folder, "wal-meta.db")); err != nil {
		return fmt.Errorf("the log is incomplete: %w", err)
	}
	return nil
}

// checkpoint is the newest one, nil if there is none. Its head is what Badger holds at least.
func (d *decisions) checkpoint() (*head, error) {
	list, err := d.snapshots.List()
	if err != nil {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	_, r, err := d.snapshots.Open(list[0].ID)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, headSize+1))
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	h, err := decodeHead(data)
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	name := fmt.Sprintf("%d-%d-", list[0].Term, list[0].Index) // as raft names it
	if !strings.HasPrefix(list[0].ID, name) || !d.only(list[0].Configuration.Servers) {
		return nil, errors.New("read checkpoint: it is of another log or one with other members")
	}
	return &h, nil
}

// covers checks that the log has every entry after the head. made says that it cannot be empty.
func (d *decisions) covers(at head, made bool) error {
	first, err := d.files.FirstIndex()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	last, err := d.files.LastIndex()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	var known uint64
	list, err := d.snapshots.List()
	if err != nil {
		return fmt.Errorf("list checkpoints: %w", err)
	}
	if len(list) > 0 {
		known = list[0].Index
	}
	if made && known == 0 && last == 0 {
		return errors.New("the log is empty")
	}
	if first > known+1 {
		return fmt.Errorf("the log begins at entry %d, the last checkpoint is at %d", first, known)
	}
	if last = max(last, known); last < at.index {
		return fmt.Errorf("the log ends at entry %d, the records are at %d", last, at.index)
	}
	return nil
}

// errNotElected says that raft did not start. There is nothing to wait for with one voter.
var errNotElected = errors.New("start log: this node, its only voter, was not elected")

// errMembers says that others than this node have a share in the log. They would need the records, and
// a checkpoint has none: it says no more than what this node's Badger holds.
var errMembers = errors.New("start log: it has other members than this node; this version of writ keeps a log of one")

// alone holds the log to this node as its only member.
func (d *decisions) alone() error {
	f := d.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return fmt.Errorf("read members of the log: %w", err)
	}
	if !d.only(f.Configuration().Servers) {
		return errMembers
	}
	return nil
}

func (d *decisions) only(members []raft.Server) bool {
	return len(members) == 1 && members[0] == raft.Server{Suffrage: raft.Voter, ID: d.id, Address: d.address}
}

// never is the length of timers that a cluster of one voter has no use for.
const never = 24 * 365 * time.Hour

func (d *decisions) config(log quiet) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = d.id
	c.Logger = log.hclog()
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = never, never, never
	c.CommitTimeout = never
	c.SnapshotInterval, c.SnapshotThreshold = never, math.MaxUint64
	c.TrailingLogs = 0
	c.MaxAppendEntries = 64
	c.BatchApplyCh = true
	c.ShutdownOnRemove = false
	c.NoSnapshotRestoreOnStart = true
	return c
}

// start makes this node the leader; every entry after the checkpoint has gone to fsm when it returns.
func (d *decisions) start(fsm raft.FSM, wrap func(raft.LogStore) raft.LogStore, log quiet) error {
	c := d.config(log)
	logs := &remembering{LogStore: wrap(d.files)}
	d.logs = logs
	there, err := raft.HasExistingState(logs, d.files, d.snapshots)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if !there {
		voters := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: d.id, Address: d.address}}}
		if err := raft.BootstrapCluster(c, logs, d.files, d.snapshots, d.transport, voters); err != nil {
			return fmt.Errorf("begin log: %w", err)
		}
	}
	leading := make(chan bool, 1)
	c.NotifyCh = leading
	if d.raft, err = raft.NewRaft(c, fsm, logs, d.files, d.snapshots, d.transport); err != nil {
		return fmt.Errorf("start log: %w", err)
	}
	if err := d.alone(); err != nil {
		return err
	}
	// The only voter need not wait for an election timeout: it is told that its turn has come.
	var answer raft.TimeoutNowResponse
	if err := d.transport.TimeoutNow(d.id, d.address, &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: c.ProtocolVersion}}, &answer); err != nil {
		return fmt.Errorf("start log: %w", err)
	}
	select {
	case <-leading:
	case <-time.After(10 * time.Second):
		return errNotElected
	}
	if err := d.raft.Barrier(0).Error(); err != nil {
		return fmt.Errorf("replay log: %w", d.cause(err))
	}
	return nil
}

// close waits for what runs.
func (d *decisions) close() error {
	var err error
	if d.raft != nil {
		err = d.raft.Shutdown().Error()
	}
	return errors.Join(err, d.files.Close(), d.contents.Close())
}

// remembering keeps the first error of writing, which raft reports to some of those that wait only.
type remembering struct {
	raft.LogStore
	first atomic.Pointer[error]
}

// StoreLogs is raft's one way of writing.
func (r *remembering) StoreLogs(logs []*raft.Log) error {
	err := r.LogStore.StoreLogs(logs)
	if err != nil {
		r.first.CompareAndSwap(nil, &err)
	}
	return err
}

// cause is why the log failed: the first error of writing, or else err.
func (d *decisions) cause(err error) error {
	if first := d.logs.first.Load(); first != nil {
		err = *first
	}
	return fmt.Errorf("write log: %w; nothing more is accepted until the store is opened again", err)
}

// machine is what raft hands committed entries to: the records while the log is replayed, the waiting
// proposals after that.
type machine struct {
	replay  func(*raft.Log) error
	live    func(*raft.Log) error
	started bool // set between the last replayed and the first new entry
	point   func() (raft.FSMSnapshot, error)
	err     error // of the replay
}

func (m *machine) Apply(l *raft.Log) any {
	if l.Type != raft.LogCommand {
		return nil
	}
	if m.started {
		return m.live(l)
	}
	if m.err == nil {
		m.err = m.replay(l)
	}
	return nil
}

func (m *machine) Snapshot() (raft.FSMSnapshot, error) { return m.point() }

// Restore is asked for by a leader elsewhere, which a cluster of one does not have.
func (m *machine) Restore(r io.ReadCloser) error {
	return errors.Join(errors.New("restore: a checkpoint holds no records, and there is no other voter to have one from"), r.Close())
}
