package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// files are the members of an archive: a tar file or an unpacked layout.
type files interface {
	// member opens a regular file by its clean path. The error of one that is not
	// there is fs.ErrNotExist.
	member(name string) (io.ReadCloser, int64, error)
}

// named is one image of an archive and what it is called there.
type named struct {
	names []ref // by tag; digests are added by who takes it up
	bundle
}

// mostHeld bounds what is in memory of the images of one archive at once, in bytes.
const mostHeld = 64 << 20

// hold adds what an image takes to what the others of its archive do.
func hold(held *int, b *bundle) error {
	if *held += len(b.config) + 256*len(b.layers); *held > mostHeld {
		return fmt.Errorf("%w: the configurations of its images are larger than %d MiB together", ErrCorrupt, mostHeld>>20)
	}
	return nil
}

// readArchive finds the images of an OCI layout or of a docker save. A file that is
// both is read as a layout if that names its images, because only a layout has the
// digests that a registry would show.
func readArchive(f files, lim limits) ([]named, error) {
	images, err := readLayout(f, lim)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(images) > 0 {
		return images, nil
	}
	images, err2 := readDockerSave(f, lim)
	switch {
	case errors.Is(err2, fs.ErrNotExist) && err != nil:
		return nil, fmt.Errorf("%w: it holds neither index.json nor manifest.json", ErrCorrupt)
	case err2 != nil && !errors.Is(err2, fs.ErrNotExist):
		return nil, err2
	case len(images) == 0:
		return nil, fmt.Errorf("%w: no image in it has a name: save it by name and tag", ErrCorrupt)
	}
	return images, nil
}

// Annotations that carry a full name, the more precise first.
var nameAnnotations = [...]string{"io.containerd.image.name", "org.opencontainers.image.ref.name"}

func readLayout(f files, lim limits) ([]named, error) {
	var list v1.IndexManifest
	if err := readJSON(f, "index.json", lim, &list); err != nil {
		return nil, err
	}
	var out []named
	var wrong error
	held := 0
	for _, d := range list.Manifests {
		n, ok := annotatedName(d.Annotations)
		if !ok {
			continue
		}
		b, err := layoutBundle(f, d, nil, lim)
		if errors.Is(err, ErrPlatform) {
			wrong = fmt.Errorf("%s: %w", n.full, err)
			continue // another entry of the same name may be for this node
		}
		if err == nil {
			err = hold(&held, &b)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.full, err)
		}
		out = append(out, named{names: []ref{n}, bundle: b})
	}
	if len(out) == 0 && wrong != nil {
		return nil, wrong
	}
	return out, nil
}

// annotatedName takes full names only: a bare tag, which the layout format allows,
// does not say of what.
func annotatedName(annotations map[string]string) (ref, bool) {
	for _, key := range nameAnnotations {
		v := annotations[key]
		named, err := reference.ParseNormalizedNamed(v)
		if err != nil || (!strings.Contains(v, "/") && reference.IsNameOnly(named)) {
			continue
		}
		if r, err := parseRef(v); err == nil && r.digest == "" {
			return r, true
		}
	}
	return ref{}, false
}

// layoutBundle follows a descriptor, through manifest lists, to an image.
func layoutBundle(f files, d v1.Descriptor, above []string, lim limits) (bundle, error) {
	raw, err := readBlob(f, d.Digest, lim)
	if err != nil {
		return bundle{}, err
	}
	if isList(d.MediaType, raw) {
		if len(above) == mostNested {
			return bundle{}, errTooNested
		}
		list, err := readList(raw)
		if err != nil {
			return bundle{}, err
		}
		return first(candidates(list), list, func(child v1.Descriptor) (bundle, error) {
			return layoutBundle(f, child, append(slices.Clone(above), d.Digest.String()), lim)
		})
	}
	man, err := readManifest(raw)
	if err != nil {
		return bundle{}, err
	}
	b := bundle{digests: append(slices.Clone(above), d.Digest.String())}
	if b.config, err = readBlob(f, man.Config.Digest, lim); err != nil {
		return bundle{}, err
	}
	if p := d.Platform; p != nil && !runsHere(p.OS, p.Architecture) {
		return bundle{}, fmt.Errorf("%w: it is for %s", ErrPlatform, p)
	}
	for _, l := range man.Layers {
		b.layers = append(b.layers, memberBlob(f, blobPath(l.Digest), l.Size))
	}
	return b, nil
}

func blobPath(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }

// readBlob holds what it read against the digest it was asked for.
func readBlob(f files, h v1.Hash, lim limits) ([]byte, error) {
	raw, err := readMember(f, blobPath(h), lim)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: blob %s is missing", ErrCorrupt, h)
	}
	if err != nil {
		return nil, err
	}
	if got := digestOf(raw); got != h.String() {
		return nil, fmt.Errorf("%w: blob %s has digest %s", ErrCorrupt, h, got)
	}
	return raw, nil
}

// dockerEntry is one image in the manifest.json of docker save.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func readDockerSave(f files, lim limits) ([]named, error) {
	var list []dockerEntry
	if err := readJSON(f, "manifest.json", lim, &list); err != nil {
		return nil, err
	}
	var out []named
	held := 0
	for _, e := range list {
		n := named{}
		for _, tag := range e.RepoTags {
			r, err := parseRef(tag)
			if err != nil {
				return nil, err
			}
			if r.digest == "" { // only a layout shows that its content has the digest
				n.names = append(n.names, r)
			}
		}
		if len(n.names) == 0 {
			continue
		}
		var err error
		if n.config, err = readMember(f, path.Clean(e.Config), lim); err != nil {
			return nil, fmt.Errorf("%s: read configuration: %w: %w", n.names[0].full, ErrCorrupt, err)
		}
		for _, l := range e.Layers {
			n.layers = append(n.layers, memberBlob(f, path.Clean(l), -1))
		}
		if err := hold(&held, &n.bundle); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// memberBlob opens a member when it is unpacked. A negative size is looked up.
func memberBlob(f files, name string, size int64) blob {
	if size < 0 {
		if rc, n, err := f.member(name); err == nil {
			rc.Close()
			size = n
		}
	}
	return blob{size: max(size, 0), source: "archive", open: func(context.Context) (io.ReadCloser, error) {
		rc, _, err := f.member(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return rc, nil
	}}
}

func readJSON(f files, name string, lim limits, into any) error {
	raw, err := readMember(f, name, lim)
	if err != nil {
		return err
	}
	if err := fewEntries(raw); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read %s: %w: %w", name, ErrCorrupt, err)
	}
	return nil
}

func readMember(f files, name string, lim limits) ([]byte, error) {
	rc, size, err := f.member(name)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	if size > lim.document {
		return nil, fmt.Errorf("read %s: %w: %d bytes, at most %d are allowed", name, ErrCorrupt, size, lim.document)
	}
	return readAll(rc, lim.document)
}
