package store

import (
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
)

// Config says where and how a store is kept.
type Config struct {
	// Dir is the folder of the store, made with mode 0700 if it is not there. Nothing else may be in it.
	Dir string
	// Key is the file with the key that the store is encrypted with, made with mode 0600 when the store is.
	// Empty means Dir with ".key" behind it. Without it a store cannot be read by anybody.
	Key string
	// Cluster is the identity of a cluster that is made again; zero makes a new one. It is looked at
	// only when Dir holds no store.
	Cluster uuid.UUID
	// Reserve is the free space, in bytes, below which decisions are refused and nothing is written.
	// Zero means 64 MiB.
	Reserve uint64
	// Recent is how many bytes of changes Since can look back over. Zero means 16 MiB.
	Recent int

	// What follows is for tests of crashes and full disks.
	probe      func(point string)               // called before each step that a crash may hit
	fault      func(point string) error         // fails the transaction before the point
	free       func(dir string) (uint64, error) // free bytes; statfs
	wrapLog    func(raft.LogStore) raft.LogStore
	delay      time.Duration // from a change to its record on disk
	memtable   int64         // of Badger, bytes
	checkpoint int64         // bytes of log or records after which a checkpoint is made
}

// Validate says what is wrong with a Config.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("store: no folder is given")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Key == "" {
		c.Key = strings.TrimRight(c.Dir, "/") + ".key"
	}
	if c.Reserve == 0 {
		c.Reserve = 64 << 20
	}
	if c.Recent == 0 {
		c.Recent = 16 << 20
	}
	if c.probe == nil {
		c.probe = func(string) {}
	}
	if c.fault == nil {
		c.fault = func(string) error { return nil }
	}
	if c.free == nil {
		c.free = freeBytes
	}
	if c.wrapLog == nil {
		c.wrapLog = func(l raft.LogStore) raft.LogStore { return l }
	}
	if c.delay == 0 {
		c.delay = 20 * time.Millisecond
	}
	if c.memtable == 0 {
		c.memtable = 8 << 20
	}
	if c.checkpoint == 0 {
		c.checkpoint = 16 << 20
	}
	return c
}
