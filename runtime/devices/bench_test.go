package devices

import (
	"context"
	"net"
	"path/filepath"
	goruntime "runtime"
	"testing"
	"time"
)

// bench is a Manager that serves a folder.
type bench struct {
	t       *testing.T
	dir     string
	m       *Manager
	changed chan struct{}
	stop    func()
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), changed: make(chan struct{}, 100)}
	b.up()
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *bench) up() {
	b.t.Helper()
	m, err := Open(Config{Dir: filepath.Join(b.dir, "p"), File: filepath.Join(b.dir, "devices"), Changed: func() { b.changed <- struct{}{} }}, quiet())
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	socket := filepath.Join(b.dir, "p", socketName)
	for end := time.Now().Add(20 * time.Second); ; { // a plugin that comes before would lose its socket
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(end) {
			b.t.Fatal(err)
		}
		goruntime.Gosched()
	}
	b.m, b.stop = m, func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
		b.stop = func() {}
	}
}

// counts waits until there are so many devices of a resource, and so many of them healthy.
func (b *bench) counts(name string, all, healthy int64) {
	b.t.Helper()
	for end := time.After(20 * time.Second); ; {
		capacity, allocatable := b.m.Count()
		if capacity[name] == all && allocatable[name] == healthy {
			return
		}
		select {
		case <-b.changed:
		case <-end:
			b.t.Fatalf("there are %d %s, %d of them healthy, want %d and %d", capacity[name], name, allocatable[name], all, healthy)
		}
	}
}
