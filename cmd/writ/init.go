package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"writ/manifest/schema"
)

// starter is the repository that `writ init` writes.
//
//go:embed all:init
var starter embed.FS

const (
	schemaFile = ".writ/schema.json"
	readmeFile = "README.md"
)

const initHelp = `Writes a good first repository: writ.yaml, an example that runs, a workflow that
checks pull requests and a hook that checks commits. No file is overwritten: where
one is there already nothing is written, but for README.md, which is left alone.

Exit codes: 0 written; 1 something is in the way; 2 used wrongly.`

func newInit() *cobra.Command {
	return &cobra.Command{
		Use:         "init [DIR]",
		Short:       "Write a first repository",
		Long:        initHelp,
		Example:     "  writ init cluster && cd cluster && git init && writ check --strict --advice",
		Args:        cobra.MaximumNArgs(1),
		Annotations: map[string]string{offline: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return initialise(cmd, dir)
		},
	}
}

func initialise(cmd *cobra.Command, dir string) error {
	files, err := starterFiles()
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	defer root.Close()
	if _, err := root.Lstat(readmeFile); err == nil {
		delete(files, readmeFile)
	}
	names := slices.Sorted(maps.Keys(files))
	var inTheWay []string
	for _, name := range names {
		if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			inTheWay = append(inTheWay, name)
		}
	}
	if len(inTheWay) > 0 {
		return fmt.Errorf("init %s: %s in the way; nothing was written", dir, are(inTheWay))
	}
	for _, name := range names {
		if err := writeNew(root, name, files[name]); err != nil {
			return fmt.Errorf("init %s: %w", dir, err)
		}
		printf(cmd.OutOrStdout(), "%s\n", filepath.Join(dir, name))
	}
	if _, wrote := files[readmeFile]; !wrote {
		printf(cmd.ErrOrStderr(), "%s was there already and stays as it is\n", readmeFile)
	}
	printf(cmd.ErrOrStderr(), "next: commit this, and start a node with\n  writ up --repo %s\n", dir)
	return nil
}

// starterFiles are the files to be written, by path.
func starterFiles() (map[string][]byte, error) {
	files := make(map[string][]byte)
	tree, err := fs.Sub(starter, "init")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(tree, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(schema.Settings(), "", "  ")
	files[schemaFile] = append(text, '\n')
	return files, err
}

// writeNew writes a file that is not there yet.
func writeNew(root *os.Root, name string, text []byte) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
