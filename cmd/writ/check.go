package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"writ/api/control"
	"writ/manifest"
	"writ/render"
)

func newCheck() *cobra.Command {
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Find every mistake in a tree, offline",
		Long:  "Finds every mistake in a tree of manifests, offline. Exits 0 when it is clean and 1 with mistakes.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			asJSON, err := output.json()
			if err != nil {
				return err
			}
			return check(cmd, dir, asJSON)
		},
	}
	output.add(cmd)
	return cmd
}

// checked is what `writ check -o json` prints.
type checked struct {
	Schema   string            `json:"schema"`
	Objects  int               `json:"objects"`
	Mistakes manifest.Mistakes `json:"mistakes"`
	Warnings manifest.Mistakes `json:"warnings"`
}

func check(cmd *cobra.Command, dir string, asJSON bool) error {
	if info, err := os.Stat(dir); err != nil {
		return fmt.Errorf("check: %w", err)
	} else if !info.IsDir() {
		return usageError{fmt.Errorf("check: %s is not a folder", dir)}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	defer root.Close()
	var program string
	if err := beside(&program, rendererName); err != nil {
		return err
	}
	loader := manifest.Loader{Renderer: render.New(cmd.Context(), render.Config{Program: program})}
	set, err := loader.Load(root.FS(), nil)
	result := checked{Schema: control.SchemaVersion}
	if err != nil && !errors.As(err, &result.Mistakes) {
		return fmt.Errorf("check %s: %w", dir, err)
	}
	if set != nil {
		result.Objects, result.Warnings = set.Len(), set.Warnings()
	}
	if asJSON {
		err = printJSON(cmd.OutOrStdout(), result)
	} else {
		err = printChecked(cmd, result)
	}
	if err == nil && len(result.Mistakes) > 0 {
		return exitCode{code: exitError}
	}
	return err
}

func printChecked(cmd *cobra.Command, c checked) error {
	out := cmd.OutOrStdout()
	for _, m := range c.Mistakes {
		printf(out, "%s\n", m)
	}
	for _, w := range c.Warnings {
		printf(out, "warning: %s\n", w)
	}
	if n := len(c.Mistakes); n > 0 {
		printf(cmd.ErrOrStderr(), "%s: this commit would not be adopted\n", count(n, "mistake"))
		return nil
	}
	printf(cmd.ErrOrStderr(), "%s, no mistakes\n", count(c.Objects, "object"))
	return nil
}

// kubernetesVersion is that of the linked Kubernetes code.
func kubernetesVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "k8s.io/kubernetes" {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return "unknown"
}
