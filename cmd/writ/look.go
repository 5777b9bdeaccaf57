package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"writ/api/control"
	"writ/state"
)

func newEvents() *cobra.Command {
	var (
		flags  clientFlags
		output outputFlag
		watch  bool
	)
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened in the last hour",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := output.json()
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
			if err := printEvents(cmd.OutOrStdout(), body, asJSON, terminal(cmd.OutOrStdout())); err != nil && cmd.Context().Err() == nil {
				return err
			}
			return nil
		},
	}
	flags.add(cmd, true)
	output.add(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on as things happen")
	flags.addAll(cmd)
	return cmd
}

// toldEvent is one line of `writ events -o json`.
type toldEvent struct {
	Schema string `json:"schema"`
	state.Event
}

// printEvents prints each event of a stream as it arrives: as one JSON document a line, as text of one
// line each, or broken into lines for people.
func printEvents(out io.Writer, body io.Reader, asJSON, people bool) error {
	in := json.NewDecoder(body)
	for {
		var e state.Event
		if err := in.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if asJSON {
			if err := json.NewEncoder(out).Encode(toldEvent{control.SchemaVersion, e}); err != nil {
				return err
			}
			continue
		}
		head := fmt.Sprintf("%s  %-7s %-18s ", e.Last.Local().Format(time.TimeOnly), e.Type, e.Reason)
		text := fmt.Sprintf("%s: %s", e.Ref, e.Message)
		if e.Count > 1 {
			text += fmt.Sprintf(" (x%d)", e.Count)
		}
		if people {
			paragraph(out, printable(head), "          ", text, view{}.in(""))
		} else {
			printf(out, "%s%s\n", head, text)
		}
	}
}

func newTree() *cobra.Command {
	var (
		flags  clientFlags
		output outputFlag
	)
	cmd := &cobra.Command{
		Use:   "tree",
		Short: "Show who owns what, down to containers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := output.json()
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
	output.add(cmd)
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
		text := name + "  " + l.State
		if l.Archive {
			text += ", image from an archive"
		}
		paragraph(out, indent, indent+"    ", text, view{}.in(""))
		printLeaves(out, l.Below, namespaces, indent+"  ")
	}
}

func newVersion() *cobra.Command {
	var output outputFlag
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
			asJSON, err := output.json()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), v)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "writ %s, following Kubernetes %s\n", v.Writ, v.Kubernetes)
			return nil
		},
	}
	output.add(cmd)
	return cmd
}
