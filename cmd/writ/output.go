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
type outputFlag struct {
	value   string
	formats []string // that value may be, beside text
}

// add gives a command the flag, with json alone unless formats are named.
func (o *outputFlag) add(cmd *cobra.Command, formats ...string) {
	if formats == nil {
		formats = []string{formatJSON}
	}
	o.formats = formats
	usage := fmt.Sprintf("%q for machines", formats[0])
	if len(formats) > 1 {
		usage = "`FORMAT`: " + strings.Join(formats, ", ")
	}
	cmd.Flags().StringVarP(&o.value, "output", "o", "", usage)
}

// format is what was asked for; anything that is not among the formats is a mistake.
func (o *outputFlag) format() (string, error) {
	if o.value == formatText || slices.Contains(o.formats, o.value) {
		return o.value, nil
	}
	return "", usageError{fmt.Errorf("-o %s: only %s there", o.value, are(o.formats))}
}

// json says whether a machine reads, of a command that knows no other format.
func (o *outputFlag) json() (bool, error) {
	format, err := o.format()
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
