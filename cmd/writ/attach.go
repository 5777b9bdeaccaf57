package main

import (
	"github.com/spf13/cobra"

	"writ/api/control"
)

func newAttach() *cobra.Command {
	var flags sessionFlags
	cmd := &cobra.Command{
		Use:   "attach OBJECT",
		Short: "Join the output and input of a running container",
		Long: "Prints what a container writes from now on, and exits with its exit code when it ends. With -i it is sent\n" +
			"standard input, if it has one (stdin: true). It goes on when this command ends.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd, args[0], control.ExecQuery{Attach: true})
		},
	}
	flags.addTo(cmd, "put this terminal into raw mode, for a container with a terminal (tty: true)")
	return cmd
}
