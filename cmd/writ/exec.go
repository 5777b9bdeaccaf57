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
	var flags sessionFlags
	cmd := &cobra.Command{
		Use:   "exec OBJECT -- COMMAND [ARG ...]",
		Short: "Run a command in a container",
		Long:  "Runs a command in a container and exits with its exit code.",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd, args[0], control.ExecQuery{Command: args[1:]})
		},
	}
	flags.addTo(cmd, "give the command a terminal")
	return cmd
}

// sessionFlags are those of commands that join a container.
type sessionFlags struct {
	clientFlags
	container  string
	stdin, tty bool
}

func (f *sessionFlags) addTo(cmd *cobra.Command, tty string) {
	f.add(cmd, true)
	cmd.Flags().StringVarP(&f.container, "container", "c", "", "container; the first if empty")
	cmd.Flags().BoolVarP(&f.stdin, "stdin", "i", false, "pass standard input")
	cmd.Flags().BoolVarP(&f.tty, "tty", "t", false, tty)
}

// run joins the first pod of an object that runs, and gives its exit code as an error.
func (f *sessionFlags) run(cmd *cobra.Command, object string, q control.ExecQuery) error {
	client, targets, err := f.targets(cmd.Context(), object)
	if err != nil {
		return err
	}
	target := targets[0]
	if i := slices.IndexFunc(targets, func(t control.Target) bool { return t.Running }); i >= 0 {
		target = targets[i]
	}
	q.Namespace, q.Pod, q.Container, q.Terminal, q.Input = target.Namespace, target.Pod, f.container, f.tty, f.stdin
	streams := control.ExecStreams{Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr()}
	if f.stdin {
		streams.Stdin = cmd.InOrStdin()
	}
	if f.tty {
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
}

// raw puts the caller's terminal into raw mode and feeds its size. restore undoes both. A terminal whose keys
// are passed to nobody stays as it is, so that they still interrupt this command.
func raw(s *control.ExecStreams) (restore func(), err error) {
	if !terminal(os.Stdin) {
		return nil, errors.New("-t: standard input is not a terminal")
	}
	c := console.Current()
	if s.Stdin == nil {
		s.Stdin = io.LimitReader(os.Stdin, 0)
	} else if err := c.SetRaw(); err != nil {
		return nil, fmt.Errorf("-t: %w", err)
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
