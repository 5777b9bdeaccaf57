package main

import (
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newDown() *cobra.Command {
	var (
		runDir string
		purge  bool
	)
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop every pod gracefully, then the daemon",
		Long: "Stops every pod gracefully and then the daemon. What the daemon set in the kernel is undone.\n" +
			"With --purge the data folder goes too: store, mirror, images and addresses.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			flags := clientFlags{runDir: runDir}
			query := url.Values{}
			if purge {
				query.Set("purge", "1")
			}
			body, err := flags.client().Stream(cmd.Context(), http.MethodPost, "/v1/down", query)
			if err != nil {
				return err
			}
			defer body.Close()
			return relay(cmd.OutOrStdout(), body)
		},
	}
	cmd.Flags().StringVar(&runDir, "run-dir", defaultRunDir, "folder of the daemon's socket")
	cmd.Flags().BoolVar(&purge, "purge", false, "delete the data folder too")
	return cmd
}

// relay prints the daemon's progress. Its last line says how it ended.
func relay(out io.Writer, body io.Reader) error {
	ended := &lastLine{}
	if _, err := io.Copy(io.MultiWriter(out, ended), body); err != nil {
		return err
	}
	return ended.verdict()
}
