package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// What -o may be; each command takes some of them.
const (
	formatText = ""
	formatJSON = "json"
	formatYAML = "yaml"
	formatWide = "wide"
)

// outputFlag is the -o of commands that machines may read.
type outputFlag string

// add gives a command the flag, with json alone unless formats are named.
func (o *outputFlag) add(cmd *cobra.Command, formats ...string) {
	if formats == nil {
		formats = []string{formatJSON}
	}
	usage := fmt.Sprintf("%q for machines", formats[0])
	if len(formats) > 1 {
		usage = "`FORMAT`: " + strings.Join(formats, ", ")
	}
	cmd.Flags().StringVarP((*string)(o), "output", "o", "", usage)
}

// format is what was asked for; anything that is not among the formats is a mistake.
func (o outputFlag) format(formats ...string) (string, error) {
	if o == formatText || slices.Contains(formats, string(o)) {
		return string(o), nil
	}
	verb := "is"
	if len(formats) > 1 {
		verb = "are"
	}
	return "", usageError{fmt.Errorf("-o %s: only %s %s there", string(o), strings.Join(formats, ", "), verb)}
}

// json says whether a machine reads; any other word than "json" is a mistake.
func (o outputFlag) json() (bool, error) {
	format, err := o.format(formatJSON)
	return format == formatJSON, err
}

// printAs prints a document for machines.
func printAs(out io.Writer, format string, v any) error {
	if format != formatYAML {
		return printJSON(out, v)
	}
	data, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	return err
}
