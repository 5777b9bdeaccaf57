package main

import (
	"context"
	"io"
	"maps"
	"slices"

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

// pinImages tells the image store which images the adopted commit names, whenever that is another one. It
// follows the World, so that a start of the daemon needs nothing else.
func (n *node) pinImages(ctx context.Context) error {
	pinned := ""
	for {
		w := n.store.World()
		if commit := w.Adopted().Commit; commit != pinned {
			if err := n.images.Adopted(commit, imagesOf(w)); err != nil {
				n.log.Warn("images of the adopted commit are not pinned", "commit", commit, "err", err)
			}
			pinned = commit
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.store.Changed(w.Revision()):
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
