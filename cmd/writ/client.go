package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"writ/api/control"
)

// defaults of the folders of a node.
const (
	defaultDataDir = "/var/lib/writ"
	defaultRunDir  = "/run/writ"
	defaultLogDir  = "/var/log/pods"
	socketName     = "writ.sock"
)

// clientFlags are shared by the commands that ask the daemon.
type clientFlags struct {
	runDir    string
	namespace string
	all       bool // every namespace, where a command lists
}

func (f *clientFlags) add(cmd *cobra.Command, namespaced bool) {
	cmd.Flags().StringVar(&f.runDir, "run-dir", defaultRunDir, "folder of the daemon's socket")
	if namespaced {
		cmd.Flags().StringVarP(&f.namespace, "namespace", "n", "default", "namespace of the object")
	}
}

// addAll is for commands that list: they can be asked about every namespace.
func (f *clientFlags) addAll(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.all, "all-namespaces", "A", false, "of every namespace")
}

// list is the query of a command that lists.
func (f *clientFlags) list() url.Values {
	if f.all {
		return url.Values{}
	}
	return url.Values{"namespace": {f.namespace}}
}

func (f *clientFlags) client() *control.Client {
	return control.NewClient(filepath.Join(f.runDir, socketName))
}

// object splits "kind/name".
func object(arg string) (kind, name string, err error) {
	kind, name, ok := strings.Cut(arg, "/")
	if !ok || kind == "" || name == "" {
		return "", "", usageError{fmt.Errorf("%q is not kind/name, as in deployment/web", arg)}
	}
	return kind, name, nil
}

func (f *clientFlags) query(arg string) (url.Values, error) {
	kind, name, err := object(arg)
	if err != nil {
		return nil, err
	}
	return url.Values{"kind": {kind}, "name": {name}, "namespace": {f.namespace}}, nil
}

// targets is the pods of an object, with the client to ask about them.
func (f *clientFlags) targets(ctx context.Context, arg string) (*control.Client, []control.Target, error) {
	query, err := f.query(arg)
	if err != nil {
		return nil, nil, err
	}
	client := f.client()
	var targets []control.Target
	err = client.Get(ctx, "/v1/pods", query, &targets)
	return client, targets, err
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// document gives every list that -o json prints its schema.
type document struct {
	Schema string `json:"schema"`
	Items  any    `json:"items"`
}

// colours says whether a writer is a terminal that wants them.
func colours(out io.Writer) bool {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	return terminal(out)
}

// terminal says whether a stream is one: something with a size and a line discipline.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
