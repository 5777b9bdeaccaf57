package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"writ/api/control"
	"writ/state"
)

func newEvents() *cobra.Command {
	var (
		flags clientFlags
		watch bool
	)
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened in the last hour",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := flags.json()
			if err != nil {
				return err
			}
			query := flags.list()
			if watch {
				query.Set("watch", "1")
			}
			body, err := flags.client().Stream(cmd.Context(), http.MethodGet, "/v1/events", query)
			if err != nil {
				return err
			}
			defer body.Close()
			if err := printEvents(cmd.OutOrStdout(), body, asJSON); err != nil && cmd.Context().Err() == nil {
				return err
			}
			return nil
		},
	}
	flags.add(cmd, true)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on as things happen")
	flags.addAll(cmd)
	return cmd
}

// printEvents prints each event of a stream as it arrives, as text or as one JSON document a line.
func printEvents(out io.Writer, body io.Reader, asJSON bool) error {
	in := json.NewDecoder(body)
	for {
		var e state.Event
		if err := in.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if asJSON {
			if err := json.NewEncoder(out).Encode(e); err != nil {
				return err
			}
			continue
		}
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(" (x%d)", e.Count)
		}
		fmt.Fprintf(out, "%s  %-7s %-18s %s: %s%s\n", e.Last.Local().Format(time.TimeOnly), e.Type, e.Reason, e.Ref, e.Message, times)
	}
}

func newHistory() *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "history [OBJECT]",
		Short: "Show the adopted commits, or the revisions of a Deployment",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := flags.json()
			if err != nil {
				return err
			}
			query := url.Values{}
			if len(args) == 1 {
				if query, err = flags.query(args[0]); err != nil {
					return err
				}
			}
			var entries []control.Entry
			if err := flags.client().Get(cmd.Context(), "/v1/history", query, &entries); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), document{control.SchemaVersion, entries})
			}
			return printHistory(cmd.OutOrStdout(), entries, len(args) == 1)
		},
	}
	flags.add(cmd, true)
	return cmd
}

func printHistory(out io.Writer, entries []control.Entry, ofObject bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := range entries {
		e := &entries[i]
		mark := " "
		if e.Current {
			mark = "*"
		}
		if ofObject {
			cause := e.Cause
			if cause == "" {
				cause = e.Subject
			}
			fmt.Fprintf(w, "%s %d\t%s\t%s\n", mark, e.Revision, e.Name, clip(cause, 48))
			continue
		}
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%s\n", mark, short(e.Commit), e.Adopted.Local().Format(time.DateTime), clip(e.Author, 24), clip(e.Subject, 40))
	}
	return w.Flush()
}

func newTree() *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "tree",
		Short: "Show who owns what, down to containers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := flags.json()
			if err != nil {
				return err
			}
			var leaves []control.Leaf
			if err := flags.client().Get(cmd.Context(), "/v1/tree", flags.list(), &leaves); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), document{control.SchemaVersion, leaves})
			}
			printLeaves(cmd.OutOrStdout(), leaves, flags.all, "")
			return nil
		},
	}
	flags.add(cmd, true)
	flags.addAll(cmd)
	return cmd
}

func printLeaves(out io.Writer, leaves []control.Leaf, namespaces bool, indent string) {
	for i := range leaves {
		l := &leaves[i]
		name := l.Kind + "/" + l.Name
		if namespaces && indent == "" && l.Namespace != "" {
			name = l.Namespace + " " + name
		}
		fmt.Fprintf(out, "%s%s  %s\n", indent, name, l.State)
		printLeaves(out, l.Below, namespaces, indent+"  ")
	}
}

func newVersion() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this binary and of the Kubernetes it follows",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Schema     string `json:"schema"`
				Writ       string `json:"writ"`
				Kubernetes string `json:"kubernetes"`
			}{control.SchemaVersion, version, kubernetesVersion()}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), v)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "writ %s, following Kubernetes %s\n", v.Writ, v.Kubernetes)
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", `"json" for machines`)
	return cmd
}
