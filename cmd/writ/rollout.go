package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"writ/api/control"
	"writ/reconcile"
)

const rolloutHelp = `Follows the rollout of a Deployment, StatefulSet or DaemonSet: one line for each step, with how many
pods are new, old, ready and available, and what it waits for. It ends when every pod is new and
available, or when the rollout has failed. Without an OBJECT it shows what is on its way, once.

Exit codes:
  0    rolled out (without an OBJECT: always)
  1    error, such as no daemon
  2    used wrongly
  3    failed, gone, or not rolled out in time
  130  interrupted`

func newRollout() *cobra.Command {
	var (
		flags   clientFlags
		output  outputFlag
		timeout time.Duration
		once    bool
	)
	cmd := &cobra.Command{
		Use:     "rollout [OBJECT]",
		Short:   "Follow a rollout step by step",
		Long:    rolloutHelp,
		Example: "  writ rollout deployment/web -n shop\n  writ rollout -A",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := output.json()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listRollouts(cmd, flags, asJSON)
			}
			ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
			if timeout > 0 {
				ctx, cancel = context.WithTimeout(ctx, timeout)
			}
			defer cancel()
			return followRollout(ctx, cmd, flags, args[0], asJSON, once)
		},
	}
	flags.add(cmd, true)
	flags.addAll(cmd)
	output.add(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after this long; 0 waits as long as it takes")
	cmd.Flags().BoolVar(&once, "once", false, "show where it is now, and do not wait")
	return cmd
}

func listRollouts(cmd *cobra.Command, flags clientFlags, asJSON bool) error {
	var all []control.Rollout
	if err := flags.client().Get(cmd.Context(), "/v1/rollout", flags.list(), &all); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if asJSON {
		return printJSON(out, document{control.SchemaVersion, all})
	}
	if len(all) == 0 {
		printf(out, "nothing is on its way\n")
	}
	for i := range all {
		printRolloutHead(out, &all[i], flags.all)
		printStep(out, &all[i])
	}
	return nil
}

func followRollout(ctx context.Context, cmd *cobra.Command, flags clientFlags, arg string, asJSON, once bool) error {
	query, err := flags.query(arg)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	var last control.Rollout
	err = follow(ctx, flags.client(), "/v1/rollout", query, func(x *control.Rollout) (bool, error) {
		if asJSON {
			if err := json.NewEncoder(out).Encode(x); err != nil {
				return true, err
			}
		} else {
			if x.Revision != last.Revision || last.Schema == "" {
				printRolloutHead(out, x, false)
			}
			printStep(out, x)
		}
		last = *x
		done, err := rolledOut(x)
		return done || once, err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return exitCode{exitUnhealthy, "not rolled out in time"}
	}
	return err
}

// rolledOut says whether waiting longer does not help, and how it ended.
func rolledOut(x *control.Rollout) (done bool, err error) {
	switch {
	case x.Gone:
		return true, exitCode{exitUnhealthy, fmt.Sprintf("%s/%s is not there any more", strings.ToLower(x.Kind), x.Name)}
	case x.Health.Fine():
		return true, nil
	case x.Outcome == reconcile.Failed, x.Health == control.NotStarted:
		return true, exitCode{exitUnhealthy, "the rollout failed"}
	}
	return false, nil
}

func printRolloutHead(out io.Writer, x *control.Rollout, namespaces bool) {
	name := strings.ToLower(x.Kind) + "/" + x.Name
	if namespaces {
		name = x.Namespace + " " + name
	}
	if x.Revision > 0 {
		name += fmt.Sprintf("  revision %d", x.Revision)
	}
	if x.Commit != "" {
		author, _, _ := strings.Cut(x.Author, " <")
		name += fmt.Sprintf("  %s  %s: %s", short(x.Commit), author, x.Subject)
	}
	printf(out, "%s\n", clip(name, width))
}

// replicaText counts the Pods of a rollout.
func replicaText(x *reconcile.Rolling) string {
	return fmt.Sprintf("%d wanted: %d new, %d old; %d ready, %d available", x.Wanted, x.New, x.Old, x.Ready, x.Available)
}

// printStep prints where a rollout is on one line, or more where it waits.
func printStep(out io.Writer, x *control.Rollout) {
	text := replicaText(&x.Rolling)
	switch {
	case x.Gone:
		text = "it is not there any more"
	case x.Health.Fine() && x.Outcome == reconcile.Complete && !x.Ended.IsZero():
		text += "; rolled out in " + took(x.Ended.Sub(x.Begun).Seconds())
	case x.Waits != "":
		text += "; " + x.Waits
		if !x.Since.IsZero() {
			text += fmt.Sprintf(" (for %s)", took(max(0, x.At.Sub(x.Since).Round(time.Second).Seconds())))
		}
	}
	paragraph(out, "  "+x.At.Local().Format(time.TimeOnly)+"  ", "            ", text, view{}.in(""))
}
