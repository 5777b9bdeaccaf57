package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"writ/api/control"
)

func newHistory() *cobra.Command {
	var (
		flags  clientFlags
		output outputFlag
		scope  string
	)
	cmd := &cobra.Command{
		Use:   "history [OBJECT]",
		Short: "Show what became of each commit, or the revisions of an object",
		Long: "Shows what became of each commit, the newest first: how far it came (seen, verified,\n" +
			"rendered, adopted, healthy), how long that took, how many declared objects its adoption\n" +
			"made (+), changed (~) and removed (-), and why it got no further. The commit in force is\n" +
			"marked with *. A commit after which a newer one came before it was adopted is superseded.\n\n" +
			"With an OBJECT, as in deployment/web: its revisions (of a Deployment, StatefulSet or\n" +
			"DaemonSet), or the runs of a CronJob, with the commit they began with, how they ended and\n" +
			"how long that took.",
		Example: "  writ history -n 5\n  writ history -o wide\n  writ history deployment/web -n shop",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := output.format()
			if err != nil {
				return err
			}
			query := url.Values{}
			switch {
			case len(args) == 1:
				if scope != "" {
					flags.namespace = scope
				}
				if query, err = flags.query(args[0]); err != nil {
					return err
				}
			case scope != "":
				if n, err := strconv.Atoi(scope); err != nil || n < 1 {
					return usageError{fmt.Errorf("-n %s: without an OBJECT it is the number of commits to show", scope)}
				}
				query.Set("limit", scope)
			}
			var entries []control.Entry
			if err := flags.client().Get(cmd.Context(), "/v1/history", query, &entries); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case format == formatJSON || format == formatYAML:
				return printAs(out, format, document{control.SchemaVersion, entries})
			case len(args) == 1:
				printRevisions(out, entries)
			case format == formatWide:
				return printCommitsWide(out, entries)
			default:
				printCommits(out, entries, view{colour: colours(out)})
			}
			return nil
		},
	}
	flags.add(cmd, false)
	flags.namespace = "default"
	cmd.Flags().StringVarP(&scope, "namespace", "n", "", "of an OBJECT: its namespace; without one: how many commits to show")
	output.add(cmd, formatJSON, formatYAML, formatWide)
	return cmd
}

// printCommits prints each commit on two lines, with a third where something kept it.
func printCommits(out io.Writer, entries []control.Entry, v view) {
	if len(entries) == 0 {
		printf(out, "no commit was seen yet\n")
	}
	for i := range entries {
		e := &entries[i]
		mark := " "
		if e.Current {
			mark = "*"
		}
		printf(out, "%s %s  %s  %s  %8s  %s\n", mark, short(e.Commit), v.paint(v.ofResult(e), fmt.Sprintf("%-10s", e.Result)),
			when(e.Stages.Seen.At), took(e.Seconds), changes(e))
		name, _, _ := strings.Cut(e.Author, " <")
		printf(out, "            %s\n", clip(name+": "+e.Subject, width-12))
		if e.Reason != "" && e.Result != "healthy" {
			paragraph(out, "            ", "            ", e.Reason, v.in(faint))
		}
	}
}

func (v view) ofResult(e *control.Entry) string {
	switch e.Result {
	case "healthy":
		return green
	case "stopped":
		return red
	case "superseded":
		return faint
	}
	return yellow
}

// printCommitsWide prints each commit on one line, however long.
func printCommitsWide(out io.Writer, entries []control.Entry) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	printf(t, "COMMIT\tRESULT\tSEEN\tVERIFIED\tRENDERED\tADOPTED\tHEALTHY\tTOOK\tCHANGES\tAUTHOR\tSUBJECT\tREASON\n")
	for i := range entries {
		e := &entries[i]
		printf(t, "%s\t%s\t", short(e.Commit), string(e.Result))
		for _, s := range e.Stages.List() {
			printf(t, "%s\t", when(s.At))
		}
		printf(t, "%s\t%s\t%s\t%s\t%s\n", took(e.Seconds), changes(e), e.Author, e.Subject, e.Reason)
	}
	return t.Flush()
}

// when is a time as people here read it, - for none.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// took is a duration as people read it.
func took(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		d = d.Round(10 * time.Millisecond)
	case d < time.Hour:
		d = d.Round(time.Second)
	default:
		d = d.Round(time.Minute)
	}
	return d.String()
}

func changes(e *control.Entry) string {
	if e.Adopted.IsZero() {
		return ""
	}
	return fmt.Sprintf("+%d ~%d -%d", e.Created, e.Changed, e.Deleted)
}

// printRevisions prints each revision of an object, or each run, on one or two lines.
func printRevisions(out io.Writer, entries []control.Entry) {
	if len(entries) == 0 {
		printf(out, "none is kept\n")
	}
	for i := range entries {
		e := &entries[i]
		mark, number, cause := " ", "", e.Cause
		if e.Current {
			mark = "*"
		}
		if e.Revision > 0 {
			number = strconv.FormatInt(e.Revision, 10)
		}
		author, _, _ := strings.Cut(e.Author, " <")
		hash, subject, _ := strings.Cut(cause, " ")
		if e.Subject != "" && (cause == "" || subject == e.Subject && strings.HasPrefix(e.Commit, hash)) {
			cause = author + ": " + e.Subject // the commit stands before it
		}
		how := e.Outcome
		if e.Seconds > 0 {
			how += " in " + took(e.Seconds)
		}
		printf(out, "%s %-4s %-8s  %s  %s\n", mark, number, short(e.Commit), when(e.Begun), how)
		if cause != "" {
			printf(out, "       %s\n", clip(cause, width-7))
		}
		printf(out, "       %s\n", clip(e.Name, width-7))
		if e.Reason != "" {
			paragraph(out, "       ", "       ", e.Reason, view{}.in(""))
		}
	}
}
