package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"writ/api/control"
)

// Exit codes of `writ status --wait`.
const (
	exitUnhealthy  = 3
	exitHeld       = 4
	exitSuperseded = 5
)

const statusHelp = `Shows the adopted commit, the newest commit, how far that has come (seen, verified,
rendered, adopted, healthy) and why it is not adopted, and every object's health.

With --wait it ends as soon as waiting longer cannot help. Exit codes:
  0    adopted and healthy
  1    error, such as no daemon
  2    used wrongly
  3    adopted, but not healthy in time
  4    held, refused, or not adopted in time
  5    the --commit asked for was superseded by a newer one
  130  interrupted`

func newStatus() *cobra.Command {
	var (
		flags  clientFlags
		output outputFlag
		wait   string
		commit string
		watch  bool
		all    bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the adopted commit, the newest one and every object's health",
		Long:  statusHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := output.format()
			if err != nil {
				return err
			}
			all = all || format == formatWide
			if wait != "" {
				limit, err := time.ParseDuration(wait)
				if err != nil {
					return usageError{fmt.Errorf("--wait=%s is not a duration, as in 1m", wait)}
				}
				return waitHealthy(cmd, flags, limit, commit, format)
			}
			if watch {
				return watchStatus(cmd, flags, format, all)
			}
			var s control.Status
			if err := flags.client().Get(cmd.Context(), "/v1/status", nil, &s); err != nil {
				return err
			}
			return showStatus(cmd.OutOrStdout(), &s, format, all)
		},
	}
	flags.add(cmd, false)
	output.add(cmd, formatJSON, formatYAML, formatWide)
	cmd.Flags().StringVar(&wait, "wait", "", "wait until the newest commit is adopted and healthy, at most this long (1m if empty)")
	cmd.Flags().Lookup("wait").NoOptDefVal = "1m"
	cmd.Flags().StringVar(&commit, "commit", "", "with --wait: the commit (or the beginning of its hash) that must be adopted")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again at every change")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "show healthy objects one by one too")
	return cmd
}

// showStatus prints a status once.
func showStatus(out io.Writer, s *control.Status, format string, all bool) error {
	if format == formatJSON || format == formatYAML {
		return printAs(out, format, s)
	}
	printStatus(out, s, view{colour: colours(out), all: all})
	return nil
}

// followStatus calls each with every status until it says stop. With a commit it also tells whether that is superseded.
func followStatus(ctx context.Context, c *control.Client, commit string, each func(*control.Status) bool) error {
	return follow(ctx, c, "/v1/status", url.Values{"commit": {commit}}, func(s *control.Status) (bool, error) { return each(s), nil })
}

func waitHealthy(cmd *cobra.Command, flags clientFlags, limit time.Duration, commit, format string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), limit)
	defer cancel()
	var last control.Status
	err := followStatus(ctx, flags.client(), commit, func(s *control.Status) bool {
		last = *s
		return settled(s, commit)
	})
	timedOut := errors.Is(err, context.DeadlineExceeded)
	if err != nil && !timedOut {
		return err
	}
	if last.Schema != "" {
		if err := showStatus(cmd.OutOrStdout(), &last, format, format == formatWide); err != nil {
			return err
		}
	}
	return verdict(&last, commit, timedOut)
}

// settled says whether waiting longer for a commit cannot help.
func settled(s *control.Status, commit string) bool {
	switch {
	case s.SupersededBy != "":
		return true
	case commit != "" && isAdopted(s, commit):
		return s.Settled() // whatever becomes of a newer one
	case commit == "" && s.Adopted != nil:
		return s.Healthy || s.Held != ""
	}
	return s.Held != "" && (commit == "" || s.Newest != nil && begins(s.Newest.Hash, commit))
}

func verdict(s *control.Status, commit string, timedOut bool) error {
	switch {
	case s.SupersededBy != "":
		return exitCode{exitSuperseded, fmt.Sprintf("commit %s is superseded by %s", clip(commit, 12), short(s.SupersededBy))}
	case !timedOut && isAdopted(s, commit) && (s.Healthy || commit != ""):
		return nil
	case !timedOut:
		return exitCode{code: exitHeld}
	case isAdopted(s, commit) && (commit != "" || s.Newest == nil):
		return exitCode{exitUnhealthy, "adopted, but not healthy in time"}
	}
	return exitCode{exitHeld, "not adopted in time"}
}

func isAdopted(s *control.Status, commit string) bool {
	return s.Adopted != nil && begins(s.Adopted.Hash, commit)
}

func begins(hash, prefix string) bool {
	return len(hash) >= len(prefix) && hash[:len(prefix)] == prefix
}

func watchStatus(cmd *cobra.Command, flags clientFlags, format string, all bool) error {
	out := cmd.OutOrStdout()
	asJSON := format == formatJSON
	if format == formatYAML {
		return usageError{errors.New("-w and -o yaml do not go together; -o json gives a document a line")}
	}
	live := terminal(out) && !asJSON
	err := followStatus(cmd.Context(), flags.client(), "", func(s *control.Status) bool {
		switch {
		case asJSON:
			return json.NewEncoder(out).Encode(s) != nil
		case live:
			fmt.Fprint(out, "\x1b[H\x1b[2J")
		default:
			fmt.Fprintf(out, "--- %s\n", s.At.Format(time.TimeOnly))
		}
		printStatus(out, s, view{colour: colours(out), all: all})
		return false
	})
	if cmd.Context().Err() != nil {
		return nil
	}
	return err
}
