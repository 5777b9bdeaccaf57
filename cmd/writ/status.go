package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"writ/api/control"
)

// Exit codes of `writ status --wait`.
const (
	exitUnhealthy = 3
	exitHeld      = 4
)

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
		Long: "Shows the adopted commit, the newest commit and why it is not adopted, and every object's health.\n" +
			"With --wait: exits 0 adopted and healthy, 3 adopted but not healthy in time, 4 held or refused, 1 error.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := output.json()
			if err != nil {
				return err
			}
			if wait != "" {
				limit, err := time.ParseDuration(wait)
				if err != nil {
					return usageError{fmt.Errorf("--wait=%s is not a duration, as in 1m", wait)}
				}
				return waitHealthy(cmd, flags, limit, commit, asJSON)
			}
			if watch {
				return watchStatus(cmd, flags, asJSON, all)
			}
			var s control.Status
			if err := flags.client().Get(cmd.Context(), "/v1/status", nil, &s); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			printStatus(cmd.OutOrStdout(), &s, view{colour: colours(cmd.OutOrStdout()), all: all})
			return nil
		},
	}
	flags.add(cmd, false)
	output.add(cmd)
	cmd.Flags().StringVar(&wait, "wait", "", "wait until the newest commit is adopted and healthy, at most this long (1m if empty)")
	cmd.Flags().Lookup("wait").NoOptDefVal = "1m"
	cmd.Flags().StringVar(&commit, "commit", "", "with --wait: the commit (or the beginning of its hash) that must be adopted")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again at every change")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "show healthy objects one by one too")
	return cmd
}

// follow calls each with every status until it says stop.
func follow(ctx context.Context, c *control.Client, each func(*control.Status) bool) error {
	body, err := c.Stream(ctx, http.MethodGet, "/v1/status", url.Values{"watch": {"1"}})
	if err != nil {
		return err
	}
	defer body.Close()
	in := json.NewDecoder(body)
	for {
		var s control.Status
		if err := in.Decode(&s); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return errors.New("the daemon has gone")
			}
			return fmt.Errorf("read status: %w", err)
		}
		if each(&s) {
			return nil
		}
	}
}

func waitHealthy(cmd *cobra.Command, flags clientFlags, limit time.Duration, commit string, asJSON bool) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), limit)
	defer cancel()
	var last control.Status
	err := follow(ctx, flags.client(), func(s *control.Status) bool {
		last = *s
		return settled(s, commit)
	})
	timedOut := errors.Is(err, context.DeadlineExceeded)
	if err != nil && !timedOut {
		return err
	}
	if last.Schema != "" {
		if asJSON {
			err = printJSON(cmd.OutOrStdout(), last)
		} else {
			printStatus(cmd.OutOrStdout(), &last, view{colour: colours(cmd.OutOrStdout())})
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return verdict(&last, commit, timedOut)
}

// settled says whether waiting longer for a commit cannot help.
func settled(s *control.Status, commit string) bool {
	if isAdopted(s, commit) {
		return s.Healthy || commit == "" && s.Held != ""
	}
	return s.Held != "" && (commit == "" || s.Newest != nil && begins(s.Newest.Hash, commit))
}

func verdict(s *control.Status, commit string, timedOut bool) error {
	switch {
	case s.Held != "" && settled(s, commit) && !(isAdopted(s, commit) && s.Healthy):
		return exitCode{code: exitHeld}
	case !timedOut:
		return nil
	case isAdopted(s, commit):
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

func watchStatus(cmd *cobra.Command, flags clientFlags, asJSON, all bool) error {
	out := cmd.OutOrStdout()
	live := terminal(out) && !asJSON
	err := follow(cmd.Context(), flags.client(), func(s *control.Status) bool {
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
