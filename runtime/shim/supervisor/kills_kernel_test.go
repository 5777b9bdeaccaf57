//go:build kernel

package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"writ/runtime/shim"
)

// TestKill_InTheMiddleOfEveryRequest kills the shim at a random moment of each kind of request. The next shim
// finds the request done or not done, never half: what ran goes on, and the request can be made again.
func TestKill_InTheMiddleOfEveryRequest(t *testing.T) {
	r := pod(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	steady := r.start(r.request("steady", "i=1; while :; do echo line $i; i=$((i+1)); sleep 0.005; done"))
	record := make([]byte, 200_000)
	limit := int64(100)
	n := 0
	fresh := func() string { n++; return fmt.Sprint("c", n) }
	deaf := func() string { // its command runs: a signal before that would meet the setup
		id := fresh()
		r.start(r.request(id, `trap "" TERM; echo up; while :; do sleep 1; done`))
		wait(t, "its command", func() bool { return len(r.lines(id)) > 0 })
		return id
	}
	ended := func() string {
		id := fresh()
		r.run(id, "true")
		return id
	}
	for _, tt := range []struct {
		op      shim.Op
		prepare func() string
		ask     func(ctx context.Context, id string) error
		again   []error // what the same request may be refused with, if it was done
	}{
		{shim.OpSandbox, nil, func(ctx context.Context, _ string) error { _, err := r.client.Sandbox(ctx, r.sandbox()); return err }, nil},
		{shim.OpStart, fresh, func(ctx context.Context, id string) error {
			_, err := r.client.Start(ctx, r.request(id, "sleep", "600"))
			return err
		}, []error{shim.ErrExists}},
		{shim.OpExec, nil, func(ctx context.Context, _ string) error {
			result, err := r.client.Exec(ctx, shim.ExecRequest{ID: "steady", Args: []string{"/bin/true"}}, shim.Streams{})
			if err == nil && result.ExitCode != 0 {
				err = fmt.Errorf("exit code %d", result.ExitCode)
			}
			return err
		}, nil},
		{shim.OpStop, deaf, func(ctx context.Context, id string) error {
			c, err := r.client.Stop(ctx, id, 10*time.Millisecond)
			if err == nil && (c.Status != shim.StatusExited || c.ExitCode != 137) {
				err = fmt.Errorf("container after its stop: %+v", c)
			}
			return err
		}, nil},
		{shim.OpRemove, ended, func(ctx context.Context, id string) error { return r.client.Remove(ctx, id) }, nil},
		{shim.OpPutRecord, nil, func(ctx context.Context, _ string) error { return r.client.PutRecord(ctx, record) }, nil},
		{shim.OpUpdate, nil, func(ctx context.Context, _ string) error {
			return r.client.Update(ctx, shim.UpdateRequest{ID: "steady", Resources: &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}})
		}, nil},
		{shim.OpReopenLogs, nil, func(ctx context.Context, _ string) error { return r.client.ReopenLogs(ctx, "") }, nil},
		{shim.OpStats, nil, func(ctx context.Context, _ string) error { _, err := r.client.Stats(ctx); return err }, nil},
		{shim.OpUpgrade, nil, func(ctx context.Context, _ string) error { _, err := r.client.Upgrade(ctx, shared.next); return err }, []error{shim.ErrConflict}},
	} {
		t.Run(string(tt.op), func(t *testing.T) {
			for range 3 {
				id := ""
				if tt.prepare != nil {
					id = tt.prepare()
				}
				hello, err := r.client.Hello(r.ctx)
				if err != nil {
					t.Fatal(err)
				}
				asked := make(chan error, 1)
				go func() { asked <- tt.ask(r.ctx, id) }()
				time.Sleep(time.Duration(random.IntN(30_000)) * time.Microsecond)
				killHard(t, hello.PID)
				if err := <-asked; err != nil && !errors.Is(err, shim.ErrNoShim) && !slices.ContainsFunc(tt.again, func(e error) bool { return errors.Is(err, e) }) {
					t.Errorf("seed %d: the request ended with %v", seed, err)
				}
				r.launch()
				if err := tt.ask(r.ctx, id); err != nil && !slices.ContainsFunc(tt.again, func(e error) bool { return errors.Is(err, e) }) {
					t.Errorf("seed %d: made again: %v", seed, err)
				}
				if now := r.state("steady"); now.Status != shim.StatusRunning || now.PID != steady.PID {
					t.Fatalf("seed %d: steady is %+v", seed, now)
				}
			}
		})
	}
	if data, err := r.client.GetRecord(r.ctx); err != nil || len(data) != len(record) {
		t.Errorf("record of %d bytes, %v, want %d", len(data), err, len(record))
	}
	state, err := r.client.State(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range state.Containers {
		if _, err := r.client.Stop(r.ctx, c.ID, 0); err != nil {
			t.Error(err)
		}
	}
	numbers(t, r.lines("steady"), 1, 10)
	if err := r.client.Shutdown(r.ctx); err != nil {
		t.Error(err)
	}
}
