package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is a stand-in for writ-shim: a shell script that notes its number.
func program(t *testing.T, script string) (cfg LaunchConfig, pid func() int) {
	t.Helper()
	dir := t.TempDir()
	path, note := filepath.Join(dir, "program"), filepath.Join(dir, "pid")
	text := fmt.Sprintf("#!/bin/sh\necho $$ >%s.new; mv %s.new %s\n%s\n", note, note, note, script)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return LaunchConfig{Binary: path, Dir: dir}, func() int {
		var n int
		data, err := os.ReadFile(note)
		if _, scanErr := fmt.Sscan(string(data), &n); err != nil || scanErr != nil {
			return 0
		}
		return n
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestBackground(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"serves", `printf ready >&3`, ""},
		{"says why not", `printf 'open lock: no' >&3; exit 1`, "open lock: no"},
		{"says nothing", `echo lost >&2; exit 1`, "the shim ended at once, see "},
		{"says it in its own environment", `[ -n "$WRIT_SHIM_READY" ] && [ -z "$HOME$SECRET" ] && [ "$PWD" = / ] && printf ready >&3`, ""},
		{"gets its arguments", `[ "$*" = "serve --dir DIR --cgroup /shims --cache /cache" ] && printf ready >&3`, ""},
	}
	t.Setenv("SECRET", "of the daemon")
	for _, tt := range tests {
		cfg, pid := program(t, tt.script)
		cfg.Cgroup, cfg.Cache = "/shims", "/cache"
		text, err := os.ReadFile(cfg.Binary)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(cfg.Binary, []byte(strings.Replace(string(text), "--dir DIR", "--dir "+cfg.Dir, 1)), 0o700); err != nil {
			t.Fatal(err)
		}
		err = Background(t.Context(), cfg)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		eventually(t, "the ended program to be reaped", func() bool {
			return pid() != 0 && errors.Is(syscall.Kill(pid(), 0), syscall.ESRCH)
		})
	}
	cfg, _ := program(t, "")
	cfg.Binary += "-that-is-not-there"
	if err := Background(t.Context(), cfg); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
}

// TestBackground_ContextEnds: a caller that gives up leaves the shim alone.
func TestBackground_ContextEnds(t *testing.T) {
	cfg, pid := program(t, "exec sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Background(ctx, cfg) }()
	eventually(t, "the program to start", func() bool { return pid() != 0 })
	t.Cleanup(func() { _ = syscall.Kill(pid(), syscall.SIGKILL) })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := syscall.Kill(pid(), 0); err != nil {
		t.Errorf("the program is gone: %v", err)
	}
	if session, err := getsid(pid()); err != nil || session != pid() {
		t.Errorf("it is in session %d (%v), want its own, %d", session, err, pid())
	}
}

func getsid(pid int) (int, error) {
	session, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(session), nil
}

func TestOpenLog_StartsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shim.log")
	for _, tt := range []struct{ before, want int64 }{{0, 4}, {1 << 20, 1<<20 + 4}, {1<<20 + 1, 4}} {
		if err := os.WriteFile(path, make([]byte, tt.before), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := openLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString("said"); err != nil {
			t.Fatal(err)
		}
		file.Close()
		if info, err := os.Stat(path); err != nil || info.Size() != tt.want {
			t.Errorf("after %d bytes: %d, want %d (%v)", tt.before, info.Size(), tt.want, err)
		}
	}
}
