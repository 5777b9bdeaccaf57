package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// How a shim tells the one who started it that it serves: it writes Ready, or
// why it cannot serve, to descriptor ReadyFD, if ReadyEnv is set.
const (
	ReadyFD  = 3
	ReadyEnv = "WRIT_SHIM_READY"
	Ready    = "ready"
)

// Background starts a shim as a child of this process and returns when it
// serves. It has a session, an environment and standard streams of its own and
// goes on when this process ends; until then a goroutine waits for it, because
// nobody else would reap it. If ctx ends first the shim goes on as well, and
// the next Launch finds it.
func Background(ctx context.Context, cfg LaunchConfig) error {
	ready, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	log, err := openLog(LogPath(cfg.Dir))
	if err != nil {
		theirs.Close()
		return err
	}
	defer log.Close()
	cmd := exec.Command(cfg.Binary, "serve", "--dir", cfg.Dir, "--cgroup", cfg.Cgroup, "--cache", cfg.Cache)
	cmd.Dir = "/"
	cmd.Env = []string{"GOMAXPROCS=1", "MALLOC_ARENA_MAX=1", "GOTRACEBACK=all", ReadyEnv + "=1", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return await(ctx, ready, log.Name())
}

// await reads what a shim says about its start.
func await(ctx context.Context, ready *os.File, log string) error {
	stop := context.AfterFunc(ctx, func() { ready.Close() })
	defer stop()
	answer, err := io.ReadAll(ready)
	switch {
	case string(answer) == Ready:
		return nil
	case len(answer) > 0:
		return errors.New(string(answer))
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	}
	return fmt.Errorf("the shim ended at once, see %s", log)
}

// openLog keeps what earlier shims of the pod said, but not for ever.
func openLog(path string) (*os.File, error) {
	const most = 1 << 20
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND | syscall.O_NOFOLLOW
	if info, err := os.Lstat(path); err == nil && info.Size() > most {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}
