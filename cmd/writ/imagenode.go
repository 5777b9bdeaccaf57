package main

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"writ/api/control"
	"writ/manifest"
	"writ/runtime/image"
	"writ/state"
)

// nodeImages is the node's image store as the socket shows it.
type nodeImages struct{ n *node }

func (i nodeImages) Images() []control.Image { return shownImages(i.n.runtime.Images()) }

func (i nodeImages) LoadImages(ctx context.Context, archive io.Reader) ([]string, error) {
	names, err := i.n.images.Load(ctx, archive)
	if err == nil {
		i.n.runtime.ImagesLoaded()
	}
	return names, err
}

func (i nodeImages) PruneImages(dry bool) (control.Pruned, error) {
	out, err := i.n.runtime.PruneImages(dry)
	return control.Pruned{Images: shownImages(out.Images), Bytes: out.Bytes, DryRun: dry}, err
}

// shownImages never gives a null list.
func shownImages(list []image.Listed) []control.Image {
	out := make([]control.Image, 0, len(list))
	for _, l := range list {
		out = append(out, control.Image{
			ID: l.ID, References: filled(l.Refs), Digests: filled(l.Digests), Size: l.Size, Disk: l.Disk,
			Created: l.Created, Arrived: l.Taken, LastUsed: l.Used, Kept: filled(l.Pinned),
		})
	}
	return out
}

func filled(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// pinPause is how long images that could not be pinned, for the disk was full, stay so.
const pinPause = 10 * time.Second

// pinImages tells the image store which images the adopted commit names, whenever that is another one. It
// follows the World, so that a start of the daemon needs nothing else.
func (n *node) pinImages(ctx context.Context) error {
	return pinImages(ctx, n.store, n.images, n.log)
}

// adoptions is the store, as far as pinImages asks it.
type adoptions interface {
	World() *state.World
	Changed(state.Revision) <-chan struct{}
}

// pinner is the image store, as far as pinImages asks it.
type pinner interface {
	Adopted(commit string, references []string) error
}

func pinImages(ctx context.Context, from adoptions, images pinner, log *slog.Logger) error {
	pinned := ""
	for {
		w := from.World()
		next := from.Changed(w.Revision())
		var again <-chan time.Time
		if commit := w.Adopted().Commit; commit != pinned {
			if err := images.Adopted(commit, imagesOf(w)); err != nil {
				log.Warn("images of the adopted commit are not pinned", "commit", commit, "err", err)
				next, again = nil, time.After(pinPause)
			} else {
				pinned = commit
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		case <-again:
		}
	}
}

// imagesOf are the images that the objects of the adopted commit name, as written there, sorted.
func imagesOf(w *state.World) []string {
	found := map[string]bool{}
	for r := range w.Records() {
		if r.Origin != state.Authored || r.Object == nil {
			continue
		}
		_, spec, _ := manifest.Pods(manifest.Item{Ref: r.Ref, Object: r.Object})
		if spec == nil {
			continue
		}
		for _, ref := range manifest.Images(spec) {
			found[ref] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
