package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"writ/api/control"
)

func newImage() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "List, load and remove the images of this node",
		Long: "Lists the images of this node, loads archives of images and removes what nothing uses.\n" +
			"Images are pulled when a pod needs them, and removed when the disk is short; nobody has to do that by hand.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImageList(), newImageLoad(), newImagePrune())
	for _, c := range cmd.Commands() {
		settle(c)
	}
	return cmd
}

func newImageList() *cobra.Command {
	var (
		flags  clientFlags
		output outputFlag
	)
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the images of this node",
		Long: "Lists the images of this node with why each is kept: the pods that use it or are about to,\n" +
			"the adopted commit and the one before it, and archives in the folder of images. An image\n" +
			"without a reason is what `writ image prune` removes. SIZE is as transferred.",
		Example: "  writ image ls\n  writ image ls -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := output.format()
			if err != nil {
				return err
			}
			var images []control.Image
			if err := flags.client().Get(cmd.Context(), "/v1/images", nil, &images); err != nil {
				return err
			}
			if format == formatJSON || format == formatYAML {
				return printAs(cmd.OutOrStdout(), format, document{control.SchemaVersion, images})
			}
			return printImages(cmd.OutOrStdout(), images, time.Now(), format == formatWide)
		},
	}
	flags.add(cmd, false)
	output.add(cmd, formatJSON, formatYAML, formatWide)
	return cmd
}

// printImages prints a line for each name of an image; what is wide has whole digests and every reason.
func printImages(out io.Writer, images []control.Image, now time.Time, wide bool) error {
	if len(images) == 0 {
		printf(out, "there are no images yet\n")
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	printf(t, "REFERENCE\tID\tSIZE\tCREATED\tLAST USED\tKEPT FOR\n")
	for i := range images {
		img := &images[i]
		id, kept := strings.TrimPrefix(img.ID, "sha256:"), keptFor(img.Kept, wide)
		if !wide {
			id = id[:min(12, len(id))]
		}
		for _, name := range namesOf(img) {
			printf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", name, id, size(img.Size), since(now, img.Created), since(now, img.LastUsed), kept)
		}
	}
	return t.Flush()
}

// namesOf are the tags of an image, or else its digests.
func namesOf(img *control.Image) []string {
	switch {
	case len(img.References) > 0:
		return img.References
	case len(img.Digests) > 0:
		return img.Digests
	}
	return []string{"<none>"}
}

// keptFor is the first reason and how many more there are, or all of them.
func keptFor(why []string, wide bool) string {
	switch {
	case len(why) == 0:
		return "-"
	case wide || len(why) == 1:
		return strings.Join(why, ", ")
	}
	return fmt.Sprintf("%s (+%d)", why[0], len(why)-1)
}

func since(now, then time.Time) string {
	if then.Unix() <= 0 { // builders that make equal bytes each time write the epoch
		return "-"
	}
	return ago(now, then)
}

// size is a number of bytes as people read it.
func size(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1000, 0
	for v >= 999.5 && u < len(units)-1 {
		v, u = v/1000, u+1
	}
	if v < 10 {
		return fmt.Sprintf("%.1f %cB", v, units[u])
	}
	return fmt.Sprintf("%.0f %cB", v, units[u])
}

func newImageLoad() *cobra.Command {
	var (
		flags  clientFlags
		output outputFlag
	)
	cmd := &cobra.Command{
		Use:   "load [FILE]",
		Short: "Load images from an archive",
		Long: "Loads the images of an archive: what `docker save` writes, or an OCI layout as a tar, also\n" +
			"compressed with gzip or zstd; from standard input without a FILE or with -. Either all images of the\n" +
			"archive are there afterwards, or nothing has changed. The archive is kept in the node's\n" +
			"folder of images; its images need no registry and are never removed. Remove the\n" +
			"file there to be rid of them.",
		Example: "  writ image load shop.tar\n  docker save shop:1.4 | ssh node writ image load",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := output.json()
			if err != nil {
				return err
			}
			in, done, err := archive(cmd, args)
			if err != nil {
				return err
			}
			defer done()
			loaded, err := flags.client().LoadImages(cmd.Context(), in)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), document{control.SchemaVersion, loaded.References})
			}
			for _, name := range loaded.References {
				printf(cmd.OutOrStdout(), "loaded %s\n", name)
			}
			return nil
		},
	}
	flags.add(cmd, false)
	output.add(cmd)
	return cmd
}

// archive opens what is to be loaded, with progress where somebody looks.
func archive(cmd *cobra.Command, args []string) (io.Reader, func(), error) {
	if len(args) == 0 || args[0] == "-" {
		in := cmd.InOrStdin()
		if terminal(in) {
			return nil, nil, usageError{errors.New("which archive? Name a FILE or send one to standard input")}
		}
		return in, func() {}, nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, nil, fmt.Errorf("load images: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && info.Mode()&os.ModeNamedPipe == 0 {
		err = fmt.Errorf("%s is not a file", args[0])
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("load images: %w", err)
	}
	p := &sending{in: f, out: cmd.ErrOrStderr(), whole: info.Size()}
	if p.shown = terminal(p.out); !p.shown {
		return f, func() { f.Close() }, nil
	}
	return p, func() { p.end(); f.Close() }, nil
}

// sending shows on a terminal how far an archive is.
type sending struct {
	in          io.Reader
	out         io.Writer
	sent, whole int64
	last        time.Time
	shown       bool
}

func (s *sending) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	s.sent += int64(n)
	if now := time.Now(); now.Sub(s.last) > 200*time.Millisecond {
		s.last = now
		printf(s.out, "%ssent %s of %s", painted("\r\x1b[K"), size(s.sent), size(s.whole))
	}
	return n, err
}

func (s *sending) end() { printf(s.out, "%s", painted("\r\x1b[K")) }

func newImagePrune() *cobra.Command {
	var (
		flags  clientFlags
		output outputFlag
		dry    bool
	)
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove the images that nothing uses",
		Long: "Removes every image that no pod of this node uses or is about to, that neither the adopted\n" +
			"commit nor the one before it names, and that is in no archive of the node's folder of\n" +
			"images. Says what went and how much room that made.",
		Example: "  writ image prune --dry-run\n  writ image prune",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := output.json()
			if err != nil {
				return err
			}
			pruned, err := flags.client().PruneImages(cmd.Context(), dry)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), prunedDocument{Schema: control.SchemaVersion, Pruned: pruned})
			}
			printPruned(cmd.OutOrStdout(), pruned)
			return nil
		},
	}
	flags.add(cmd, false)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would go")
	output.add(cmd)
	return cmd
}

// prunedDocument is what prune tells machines.
type prunedDocument struct {
	Schema string `json:"schema"`
	control.Pruned
}

func printPruned(out io.Writer, p control.Pruned) {
	verb, sum := "removed", "freed"
	if p.DryRun {
		verb, sum = "would remove", "would free"
	}
	for i := range p.Images {
		for _, name := range namesOf(&p.Images[i]) {
			printf(out, "%s %s\n", verb, name)
		}
	}
	if len(p.Images) == 0 && p.Bytes == 0 {
		printf(out, "every image is kept for something: nothing to remove\n")
		return
	}
	printf(out, "%s %s\n", sum, size(p.Bytes))
}
