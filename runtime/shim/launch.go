package shim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// LaunchConfig says how to start a shim.
type LaunchConfig struct {
	// Binary is the path of writ-shim.
	Binary string
	// Dir is the pod's run directory, absolute. It is created 0700 if missing;
	// one that another user may enter is refused.
	Dir string
	// Cgroup is where the shim puts itself, absolute, never the pod's own
	// ("/writ-node/shims"). It is created if missing and never removed. Empty:
	// it stays in the cgroup of the caller.
	Cgroup string
	// Cache is where the shims of a node keep compiled seccomp profiles,
	// absolute; it is created 0700 if missing, and may be deleted at any time.
	// Empty: each container compiles its own, which takes 15 ms of CPU.
	Cache string
}

// Launch returns the client of the directory's shim and starts one if none
// answers. A new shim on a directory with containers takes them over: nothing
// restarts, and what exited in between is known. It returns when the shim
// answers, after it took over. The shim is a daemon of its own (session,
// standard streams) and outlives the caller. Two Launches at once end with one
// shim.
func Launch(ctx context.Context, cfg LaunchConfig) (*Client, error) {
	if err := ensureDir(cfg.Dir); err != nil {
		return nil, err
	}
	client := New(cfg.Dir)
	hello, err := client.Hello(ctx)
	if err == nil {
		return client, hello.check()
	}
	if !errors.Is(err, ErrNoShim) {
		return nil, err
	}
	if cfg.Cache != "" {
		if err := ensureDir(cfg.Cache); err != nil {
			return nil, err
		}
	}
	if err := Background(ctx, cfg); err != nil {
		return nil, fmt.Errorf("start shim of %s: %w", cfg.Dir, err)
	}
	hello, err = client.Hello(ctx)
	if err != nil {
		return nil, err
	}
	return client, hello.check()
}

// Destroy removes all a pod left behind, whatever state it is in: it ends the
// shim, kills the containers, removes cgroups and namespaces, and deletes the
// directory. Logs and root file systems are elsewhere and stay. It may be
// repeated, also after a reboot or on a directory that is not there.
func Destroy(ctx context.Context, binary, dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := runBinary(ctx, binary, []string{"destroy", "--dir", dir}); err != nil {
		return fmt.Errorf("destroy %s: %w", dir, err)
	}
	return nil
}

// End ends the shim of a directory, also one that hangs, and nothing else: what it
// held goes on, but for terminals. The next Launch takes over.
func End(ctx context.Context, binary, dir string) error {
	if err := runBinary(ctx, binary, []string{"end", "--dir", dir}); err != nil {
		return fmt.Errorf("end shim of %s: %w", dir, err)
	}
	return nil
}

func (h Hello) check() error {
	if h.Version != Version {
		return fmt.Errorf("shim %d speaks protocol version %d, this program %d", h.PID, h.Version, Version)
	}
	return nil
}

func ensureDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create directory of shims: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || info.Mode().Perm()&0o077 != 0 || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is %s: it must be a directory of user %d with mode 0700", dir, info.Mode(), os.Geteuid())
	}
	return nil
}

// runBinary runs a command of writ-shim that ends by itself.
func runBinary(ctx context.Context, binary string, args []string) error {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stderr = &stderr
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			return fmt.Errorf("%w: %s", err, text)
		}
		return err
	}
	return nil
}
