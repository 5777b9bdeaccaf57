package main

import (
	"github.com/spf13/cobra"

	"writ/manifest/schema"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of writ.yaml, for editors",
		Long: `Prints the JSON schema (draft 7) of writ.yaml. Editors with a YAML language server
use it by a comment in the first line of writ.yaml:

  # yaml-language-server: $schema=.writ/schema.json`,
		Example:     "  writ schema > .writ/schema.json",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{offline: ""},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printJSON(cmd.OutOrStdout(), schema.Settings())
		},
	}
}
