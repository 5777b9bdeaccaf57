package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"writ/manifest"
)

// printChecked prints one finding a line, as compilers do, and what comes of it to the error output.
func printChecked(cmd *cobra.Command, c *checked) error {
	out := cmd.OutOrStdout()
	for _, m := range c.Mistakes {
		printf(out, "%s\n", painted(m.String()))
	}
	for _, w := range c.Warnings {
		printf(out, "warning: %s\n", painted(w.String()))
	}
	for _, a := range c.Advice {
		printf(out, "advice: %s [%s]\n", painted(a.Mistake.String()), a.Rule)
	}
	c.reasons(out)
	for _, n := range alike(c.Notes) {
		printf(out, "note: %s\n", painted(n.String()))
	}
	c.conclude(out, cmd.ErrOrStderr())
	return nil
}

// reasons says once for each rule why it is one.
func (c *checked) reasons(out io.Writer) {
	why := make(map[string]string)
	for _, a := range c.Advice {
		why[a.Rule] = a.Why
	}
	for _, rule := range slices.Sorted(maps.Keys(why)) {
		paragraph(out, "  ", "    ", rule+": "+why[rule], view{}.in(""))
	}
}

// alike leaves the first of the notes that say the same, and how many more do.
func alike(notes manifest.Mistakes) manifest.Mistakes {
	var all manifest.Mistakes
	at, more := make(map[string]int), make(map[int]int)
	for _, n := range notes {
		if i, again := at[n.What]; again {
			more[i]++
			continue
		}
		at[n.What] = len(all)
		all = append(all, n)
	}
	for i, n := range more {
		all[i].What += fmt.Sprintf(" (and %d more like this)", n)
	}
	return all
}

// conclude prints what merging does, and the verdict.
func (c *checked) conclude(out, errOut io.Writer) {
	if c.Base != nil && c.Base.Merge != nil {
		c.Base.Merge.print(out)
	}
	for _, line := range c.verdict() {
		paragraph(errOut, "", "  ", line, view{}.in(""))
	}
}

// verdict is the result in sentences.
func (c *checked) verdict() []string {
	found := []string{count(len(c.Mistakes), "mistake")}
	if n := len(c.Warnings); n > 0 {
		found = append(found, count(n, "warning"))
	}
	if n := len(c.Advice); n > 0 {
		found = append(found, fmt.Sprintf("%d of advice", n))
	}
	text := count(c.Objects, "object") + ", "
	if len(c.Mistakes) == 0 && len(found) == 1 {
		text += "no mistakes"
	} else {
		text += strings.Join(found, ", ")
	}
	var lines []string
	if b := c.Base; b != nil {
		text += fmt.Sprintf(" since %s %s", short(b.Commit), b.Subject)
		if n := b.Known.Mistakes; n > 0 {
			lines = append(lines, fmt.Sprintf("%s of %s not reported: no commit is adopted before all are mended, see `writ check` without --base",
				count(n, "mistake"), b.Rev))
		}
	}
	switch {
	case len(c.Mistakes) > 0:
		text += ": this commit would not be adopted"
	case !c.OK:
		text += ": with --strict that is too much"
	}
	lines = append([]string{text}, lines...)
	if wd, err := os.Getwd(); err == nil && !sameFolder(wd, c.root) && len(c.Mistakes)+len(c.Warnings)+len(c.Advice)+len(c.Notes) > 0 {
		lines = append(lines, "paths are from "+c.root)
	}
	return lines
}

func sameFolder(a, b string) bool {
	real, err := filepath.EvalSymlinks(a)
	return err == nil && real == b
}

// printAnnotations prints GitHub's workflow commands, by which findings show on the lines of a pull
// request. They are named by the path from the root of the workspace.
func printAnnotations(cmd *cobra.Command, c *checked) error {
	out := cmd.OutOrStdout()
	prefix := ""
	if workspace := os.Getenv("GITHUB_WORKSPACE"); workspace != "" {
		if rel, err := filepath.Rel(workspace, c.root); err == nil && filepath.IsLocal(rel) {
			prefix = filepath.ToSlash(rel)
		}
	}
	warning := "warning"
	if c.strict {
		warning = "error"
	}
	for _, m := range c.Mistakes {
		annotate(out, "error", prefix, "", m)
	}
	for _, w := range c.Warnings {
		annotate(out, warning, prefix, "", w)
	}
	for _, a := range c.Advice {
		a.What += ": " + a.Why
		annotate(out, warning, prefix, a.Rule, a.Mistake)
	}
	for _, n := range alike(c.Notes) {
		annotate(out, "notice", prefix, "", n)
	}
	c.conclude(out, cmd.ErrOrStderr())
	return nil
}

// annotate prints one workflow command.
// https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
func annotate(out io.Writer, level, prefix, rule string, m manifest.Mistake) {
	var properties []string
	if m.Source.Path != "" {
		properties = append(properties, "file="+escapeProperty(path.Join(prefix, m.Source.Path)))
		if m.Source.Line > 0 {
			properties = append(properties, fmt.Sprintf("line=%d", m.Source.Line))
		}
	}
	title := slices.DeleteFunc([]string{refText(m.Ref), rule}, func(s string) bool { return s == "" })
	if len(title) > 0 {
		properties = append(properties, "title="+escapeProperty(strings.Join(title, " ")))
	}
	begin := "::" + level
	if len(properties) > 0 {
		begin += " " + strings.Join(properties, ",")
	}
	fmt.Fprintf(out, "%s::%s\n", begin, escapeData(manifest.Mistake{What: m.What}.String()))
}

func refText(ref manifest.Ref) string {
	if ref.Name == "" {
		return ref.Kind
	}
	return ref.String()
}

// escapeData and escapeProperty are those of GitHub's own toolkit (actions/toolkit, command.ts).
func escapeData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func escapeProperty(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
