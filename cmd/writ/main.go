// Command writ runs a cluster from a Git repository: `writ up` is the daemon of a node, the other
// commands look at it or check a tree offline.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set when the binary is built.
var version = "unknown"

// Exit codes that every command shares; commands with more meanings say so in their help.
const (
	exitFine  = 0
	exitError = 1
	exitUsage = 2
	// exitInterrupted is what a shell gives for SIGINT; nothing is printed.
	exitInterrupted = 130
)

// exitCode is an error that ends the command with a code of its own. An empty Text prints nothing.
type exitCode struct {
	code int
	text string
}

func (e exitCode) Error() string { return e.text }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with its surroundings given. It returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &code):
		if code.text != "" {
			printf(errOut, "writ: %s\n", code.text)
		}
		return code.code
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return exitInterrupted
	}
	for i, line := range strings.Split(strings.TrimSpace(err.Error()), "\n") {
		printf(errOut, "%s%s\n", []string{"writ: ", "      "}[min(i, 1)], line)
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitError
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "writ",
		Short: "Run a whole cluster from a Git repository",
		Long: "Writ runs a whole cluster from a Git repository of ordinary Kubernetes manifests.\nThe repository is the only input: merge, and it runs.\n\n" +
			"Exit codes: 0 fine, 1 error, 2 used wrongly, 130 interrupted; commands with more say so in their own help.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q; `writ help` lists them", args[0])}
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
	})
	root.AddCommand(
		newUp(), newDown(), newCheck(), newInit(), newSchema(), newStatus(), newLogs(), newExec(), newAttach(), newEvents(), newHistory(), newRollout(), newTree(), newImage(), newKubeconfig(), newJWKS(), newVersion(),
	)
	for _, cmd := range root.Commands() {
		settle(cmd)
	}
	return root
}

// settle makes a command read its flags from the environment and the configuration file too, and
// makes wrong arguments a usage error.
func settle(cmd *cobra.Command) {
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
		}
		return nil
	}
	file := configFile
	if _, ok := cmd.Annotations[offline]; ok {
		file = ""
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return fillFlags(cmd.Flags(), os.LookupEnv, file) }
}
