package main

import (
	"context"
	"os"
	"syscall"

	"writ/runtime/shim"
)

// background starts this program again as a shim that belongs to nobody.
func background(cfg shim.LaunchConfig) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cfg.Binary = self
	return shim.Background(context.Background(), cfg)
}

// notifyReady returns what tells the one who started this shim that it serves,
// or why not; only the first call counts.
func notifyReady() func(error) {
	if os.Getenv(shim.ReadyEnv) == "" {
		return func(error) {}
	}
	_ = os.Unsetenv(shim.ReadyEnv)
	syscall.CloseOnExec(shim.ReadyFD)
	pipe := os.NewFile(shim.ReadyFD, "ready")
	return func(err error) {
		if pipe == nil {
			return
		}
		text := shim.Ready
		if err != nil {
			text = err.Error()
		}
		_, _ = pipe.WriteString(text)
		pipe.Close()
		pipe = nil
	}
}
