// Command writ-shim holds the containers of one pod. The daemon starts it; it
// is of no use by hand but to clean up.
//
//	writ-shim run     --dir DIR [--cgroup PATH] [--cache DIR]   start a shim in the background
//	writ-shim serve   --dir DIR [--cgroup PATH] [--cache DIR]   the same, in the foreground
//	writ-shim end     --dir DIR                                 end a shim that hangs; containers go on
//	writ-shim destroy --dir DIR                                 remove a pod and all it left
//	writ-shim hold    --dir DIR                                 hold the daemon's listening sockets
//	writ-shim check   --dir DIR                                 say whether a pod could be taken over from its living shim
//	writ-shim version
//
// It exits 0 if all is well, 1 on an error, 2 if it was called wrongly. "init"
// is for the container library, which runs this program in a new container.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"writ/runtime/shim"
	"writ/runtime/shim/supervisor"
)

const (
	exitError = 1
	exitUsage = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	const usage = "usage: writ-shim run|serve|end|destroy|hold|check|version [--dir DIR] [--cgroup PATH] [--cache DIR]"
	if len(args) == 0 {
		fmt.Fprintln(stderr, usage)
		return exitUsage
	}
	command := args[0]
	if command == "version" {
		fmt.Fprintln(stdout, build())
		return 0
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", "", "the pod's run directory, absolute; of hold the daemon's, which only tells whose it is")
	cgroup := flags.String("cgroup", "", "cgroup the shim puts itself into, absolute")
	cache := flags.String("cache", "", "where compiled seccomp profiles are kept, absolute")
	if err := flags.Parse(args[1:]); err != nil {
		return exitUsage
	}
	if !filepath.IsAbs(*dir) || *cache != "" && !filepath.IsAbs(*cache) || flags.NArg() > 0 {
		fmt.Fprintln(stderr, usage)
		return exitUsage
	}
	var err error
	switch command {
	case "run":
		err = background(shim.LaunchConfig{Dir: *dir, Cgroup: *cgroup, Cache: *cache})
	case "serve":
		err = serve(*dir, *cgroup, *cache, stderr)
	case "destroy":
		err = supervisor.Destroy(*dir, slog.New(slog.NewTextHandler(stderr, nil)))
	case "hold":
		err = hold()
	case "end":
		err = supervisor.End(*dir)
	case "check":
		var format string
		if format, err = supervisor.Check(*dir); err == nil {
			fmt.Fprintln(stdout, format)
		}
	default:
		fmt.Fprintln(stderr, usage)
		return exitUsage
	}
	if err != nil {
		fmt.Fprintln(stderr, "writ-shim:", err)
		return exitError
	}
	return 0
}

// serve runs until it is shut down or told to end; containers go on either way.
func serve(dir, cgroup, cache string, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	defaultSignals(log)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	// Caught and dropped, never ignored: containers would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT)
	ready := notifyReady()
	err := supervisor.Serve(ctx, supervisor.Config{
		Dir: dir, Cgroup: cgroup, Cache: cache, Build: build(), Log: log,
	}, func() { ready(nil) })
	if err == supervisor.ErrHeld { // and it answers
		err = nil
	}
	ready(err)
	return err
}
