package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"writ/api/control"
	"writ/manifest"
)

// offline marks commands that no setting of a node may change: /etc/writ/writ.yaml is not read.
const offline = "offline"

const checkHelp = `Finds every mistake in a tree of manifests at once, offline: what is in the work
tree counts, committed or not, without what git ignores. Nothing is asked of a
cluster, a network or the settings of a node; charts and remote bases that lie elsewhere
are taken from this user's cache, into which --fetch-charts fetches them.

With --base it reports only what the branch introduces since it left REV, and what
a merge would do: fields that must not change, and deletions that need a trailer.

An object's annotation writ.dev/ignore-advice silences rules of --advice by name.

Exit codes: 0 clean; 1 mistakes, or the tree could not be read; 2 used wrongly.`

// checkOptions is the command line of `writ check`.
type checkOptions struct {
	dir    string
	output string
	base   string
	strict bool
	advice bool
	fetch  bool

	secrets secretConfig
	bases   baseConfig
}

func newCheck() *cobra.Command {
	o := checkOptions{dir: "."}
	cmd := &cobra.Command{
		Use:         "check [DIR]",
		Short:       "Find every mistake in a tree, offline",
		Long:        checkHelp,
		Example:     "  writ check\n  writ check clusters/blue --strict --advice\n  writ check -o github --base origin/main",
		Args:        cobra.MaximumNArgs(1),
		Annotations: map[string]string{offline: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.dir = args[0]
			}
			return o.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.output, "output", "o", "text", "`FORMAT`: text, json, or github (annotations on the lines of a pull request)")
	flags.StringVar(&o.base, "base", "", "report only what is new since the merge base with `REV`, a commit of this clone")
	flags.BoolVar(&o.strict, "strict", false, "warnings, and advice where it is asked for, are mistakes")
	flags.BoolVar(&o.fetch, "fetch-charts", false, "fetch charts and remote bases that were not fetched before")
	o.secrets.flags(flags)
	o.bases.flags(flags)
	flags.BoolVar(&o.advice, "advice", false, "tell also what is better done otherwise, by rule")
	return cmd
}

// printers is what -o may be.
var printers = map[string]func(*cobra.Command, *checked) error{
	"text":   printChecked,
	"json":   func(cmd *cobra.Command, c *checked) error { return printJSON(cmd.OutOrStdout(), c) },
	"github": printAnnotations,
}

// checked is what `writ check -o json` prints. Paths are from the root of the repository.
type checked struct {
	Schema string `json:"schema"`
	// OK is whether the exit code is 0.
	OK      bool `json:"ok"`
	Objects int  `json:"objects"`
	// Mistakes keep a commit from being adopted, Warnings are probably not meant, Notes tell what is
	// accepted and not acted on yet.
	Mistakes manifest.Mistakes `json:"mistakes"`
	Warnings manifest.Mistakes `json:"warnings"`
	Notes    manifest.Mistakes `json:"notes"`
	// Advice is absent unless it was asked for.
	Advice []advised `json:"advice,omitempty"`
	// Base is what the tree is compared with, absent without --base.
	Base *checkedBase `json:"base,omitempty"`

	root   string // folder that paths are from
	strict bool
}

// advised is where a rule of --advice is not followed.
type advised struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
	manifest.Mistake
}

// checkedBase is the commit that a branch left, and what merging it would do.
type checkedBase struct {
	Commit  string `json:"commit"`
	Subject string `json:"subject"`
	Rev     string `json:"rev"`
	// Known counts the mistakes, warnings, notes and advice that are there already and are not reported.
	Known known `json:"known"`
	// Merge is absent where it cannot be told because something has mistakes.
	Merge *merge `json:"merge,omitempty"`
}

type known struct {
	Mistakes int `json:"mistakes"`
	Warnings int `json:"warnings"`
	Notes    int `json:"notes"`
	Advice   int `json:"advice"`
}

func (o checkOptions) run(cmd *cobra.Command) error {
	print, found := printers[o.output]
	if !found {
		return usageError{fmt.Errorf("-o %s: text, json and github are there", o.output)}
	}
	if info, err := os.Stat(o.dir); err != nil {
		return fmt.Errorf("check: %w", err)
	} else if !info.IsDir() {
		return usageError{fmt.Errorf("check: %s is not a folder", o.dir)}
	}
	// Everything is read once and kept to the end, so that collecting garbage often finds little.
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	c, err := o.check(cmd.Context())
	if err != nil {
		return fmt.Errorf("check %s: %w", o.dir, err)
	}
	if err := print(cmd, c); err != nil {
		return err
	}
	if !c.OK {
		return exitCode{code: exitError}
	}
	return nil
}

// check reads the tree, and the base where there is one.
func (o checkOptions) check(ctx context.Context) (*checked, error) {
	t, err := openTree(ctx, o.dir, o.fetch, o.secrets, o.bases)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	c := &checked{Schema: control.SchemaVersion, root: t.Root(), strict: o.strict}
	var before *baseline
	if o.base != "" {
		if before, err = t.baseline(ctx, o.base, o.advice); err != nil {
			return nil, err
		}
	}
	now, err := t.look(ctx, before.set(), o.advice)
	if err != nil {
		return nil, err
	}
	if now.report.Set != nil {
		c.Objects = now.report.Set.Len()
	}
	c.Mistakes, c.Warnings, c.Notes, c.Advice = now.report.Mistakes, now.report.Warnings, now.notes, now.advice
	if before != nil {
		c.compare(before, now)
	}
	for _, list := range []*manifest.Mistakes{&c.Mistakes, &c.Warnings, &c.Notes} {
		*list = append(manifest.Mistakes{}, *list...) // in JSON, none is an empty list
		list.Sort()
	}
	c.OK = len(c.Mistakes) == 0 && (!o.strict || len(c.Warnings)+len(c.Advice) == 0)
	return c, nil
}

// errNoRenderer says what to do where there is something to render and nothing to do it with.
var errNoRenderer = errors.New("there are kustomizations or charts to render, and no program " + rendererName + " lies beside writ; `make install` puts it there")
