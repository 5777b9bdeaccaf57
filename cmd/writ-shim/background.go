package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"writ/runtime/shim"
)

// readyFD is where a background shim says that it serves, or why not.
const (
	readyFD  = 3
	readyEnv = "WRIT_SHIM_READY"
	ready    = "ready"
)

// background starts a shim that belongs to nobody, and returns when it serves.
func background(dir, cgroup, cache string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	log, err := openLog(shim.LogPath(dir))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("/proc/self/exe", "serve", "--dir", dir, "--cgroup", cgroup, "--cache", cache)
	cmd.Args[0] = os.Args[0]
	cmd.Dir = "/"
	cmd.Env = []string{"GOMAXPROCS=1", "MALLOC_ARENA_MAX=1", "GOTRACEBACK=all", readyEnv + "=1", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(r)
	switch {
	case err != nil:
		return err
	case string(answer) == ready:
		return nil
	case len(answer) > 0:
		return errors.New(string(answer))
	}
	return fmt.Errorf("the shim ended at once, see %s", log.Name())
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

// notifyReady returns what tells the one who started this shim; only the first
// call counts.
func notifyReady() func(error) {
	if os.Getenv(readyEnv) == "" {
		return func(error) {}
	}
	_ = os.Unsetenv(readyEnv)
	syscall.CloseOnExec(readyFD)
	pipe := os.NewFile(readyFD, "ready")
	return func(err error) {
		if pipe == nil {
			return
		}
		text := ready
		if err != nil {
			text = err.Error()
		}
		_, _ = pipe.WriteString(text)
		pipe.Close()
		pipe = nil
	}
}
