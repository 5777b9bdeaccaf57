package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"

	"github.com/containerd/console"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"writ/api/control"
)

func newExec() *cobra.Command {
	var (
		flags     clientFlags
		container string
		stdin     bool
		tty       bool
	)
	cmd := &cobra.Command{
		Use:   "exec OBJECT -- COMMAND [ARG ...]",
		Short: "Run a command in a container",
		Long:  "Runs a command in a container and exits with its exit code.",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, targets, err := flags.targets(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			target := targets[0]
			if i := slices.IndexFunc(targets, func(t control.Target) bool { return t.Running }); i >= 0 {
				target = targets[i]
			}
			q := control.ExecQuery{Namespace: target.Namespace, Pod: target.Pod, Container: container, Command: args[1:], Terminal: tty}
			streams := control.ExecStreams{Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr()}
			if stdin {
				streams.Stdin = cmd.InOrStdin()
			}
			if tty {
				restore, err := raw(&streams)
				if err != nil {
					return err
				}
				defer restore()
			}
			code, err := client.Exec(cmd.Context(), q, streams)
			if err != nil {
				return err
			}
			if code != 0 {
				return exitCode{code: code}
			}
			return nil
		},
	}
	flags.add(cmd, true)
	cmd.Flags().StringVarP(&container, "container", "c", "", "container; the first if empty")
	cmd.Flags().BoolVarP(&stdin, "stdin", "i", false, "pass standard input")
	cmd.Flags().BoolVarP(&tty, "tty", "t", false, "give the command a terminal")
	return cmd
}

// raw puts the caller's terminal into raw mode and feeds its size. restore undoes both.
func raw(s *control.ExecStreams) (restore func(), err error) {
	if s.Stdin == nil {
		s.Stdin = io.LimitReader(os.Stdin, 0)
	}
	if !terminal(os.Stdin) {
		return nil, errors.New("exec -t: standard input is not a terminal")
	}
	c := console.Current()
	if err := c.SetRaw(); err != nil {
		return nil, fmt.Errorf("exec -t: %w", err)
	}
	sizes, signals, done := make(chan control.Size, 1), make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, unix.SIGWINCH)
	signals <- unix.SIGWINCH // the first size
	s.Resize = sizes
	go func() {
		defer close(sizes)
		for {
			select {
			case <-done:
				return
			case <-signals:
			}
			if size, err := c.Size(); err == nil {
				select {
				case sizes <- control.Size{Width: size.Width, Height: size.Height}:
				case <-done:
					return
				}
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		if err := c.Reset(); err != nil {
			fmt.Fprintf(os.Stderr, "writ: reset terminal: %v\n", err)
		}
	}, nil
}
