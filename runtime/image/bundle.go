package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// parallel is how many layers of one image are fetched and unpacked at once.
const parallel = 3

// bundle is an image as a source offers it.
type bundle struct {
	config  []byte   // raw, of the digest that the manifest states
	digests []string // of the manifest list, if any, and of the manifest; none for an old docker save
	layers  []blob   // bottom first
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// take unpacks whatever of the bundle is not here yet and gives its record. Its layers
// stay pinned until the returned function is called, which is never nil.
func (s *Store) take(ctx context.Context, b bundle) (id string, rec record, unpin func(), err error) {
	unpin = func() {}
	id = digestOf(b.config)
	diffIDs, cfg, err := s.check(b)
	if err != nil {
		return id, rec, unpin, err
	}
	unpin = s.pin(diffIDs)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	rec = record{Config: cfg.Config, Layers: diffIDs, Created: cfg.Created.Time, Taken: time.Now()}
	lim := s.limits
	lim.whole = &budget{allowed: lim.image}
	for i, d := range diffIDs {
		rec.Size += b.layers[i].size
		group.Go(func() error { return s.layer(gctx, d, b.layers[i], lim) })
	}
	if err = group.Wait(); errors.Is(err, ErrCorrupt) || errors.Is(err, ErrStorage) {
		// Nothing of it will be of use. What a registry that was away left is.
		release := unpin
		unpin = func() { release(); s.drop(diffIDs) }
	}
	return id, rec, unpin, err
}

// check reads the configuration and holds it against the bundle, the limits and this node.
func (s *Store) check(b bundle) ([]string, *v1.ConfigFile, error) {
	cfg, err := v1.ParseConfigFile(bytes.NewReader(b.config))
	if err != nil {
		return nil, nil, fmt.Errorf("read image configuration: %w: %w", ErrCorrupt, err)
	}
	if !runsHere(cfg.OS, cfg.Architecture) {
		return nil, nil, fmt.Errorf("%w: it is for %s/%s, this node is %s/%s", ErrPlatform,
			cfg.OS, cfg.Architecture, runtime.GOOS, runtime.GOARCH)
	}
	if len(cfg.RootFS.DiffIDs) != len(b.layers) {
		return nil, nil, fmt.Errorf("read image configuration: %w: it names %d layers, the manifest %d",
			ErrCorrupt, len(cfg.RootFS.DiffIDs), len(b.layers))
	}
	if len(b.layers) > s.limits.layers {
		return nil, nil, fmt.Errorf("%w: %d layers, at most %d can be stacked", ErrCorrupt, len(b.layers), s.limits.layers)
	}
	diffIDs := make([]string, len(b.layers))
	for i, h := range cfg.RootFS.DiffIDs {
		if h.Algorithm != "sha256" || len(h.Hex) != 64 {
			return nil, nil, fmt.Errorf("read image configuration: %w: layer %d is named %s, want a sha256", ErrCorrupt, i, h)
		}
		diffIDs[i] = h.String()
	}
	return diffIDs, cfg, nil
}

// runsHere takes an unnamed platform as this one: old images leave it out.
func runsHere(os, arch string) bool {
	return (os == "" || os == runtime.GOOS) && (arch == "" || arch == runtime.GOARCH)
}

// choose picks the manifest for this node from a list: the first that fits, as
// lists are ordered by preference. Entries without a platform, or for "unknown"
// (signatures and attestations), are not images to run.
func choose(list *v1.IndexManifest) (v1.Descriptor, error) {
	for _, m := range list.Manifests {
		if p := m.Platform; p != nil && p.OS == runtime.GOOS && p.Architecture == runtime.GOARCH && variantRunsHere(p.Variant) {
			return m, nil
		}
	}
	// A layout written by hand may leave platforms out: one image is then the image.
	if len(list.Manifests) == 1 && list.Manifests[0].Platform == nil {
		return list.Manifests[0], nil
	}
	var have []string
	for _, m := range list.Manifests {
		if m.Platform != nil {
			have = append(have, m.Platform.String())
		}
	}
	return v1.Descriptor{}, fmt.Errorf("%w: this node is %s/%s, the list has %v", ErrPlatform, runtime.GOOS, runtime.GOARCH, have)
}

// variantRunsHere knows only what every processor of the architecture can run.
func variantRunsHere(v string) bool {
	switch runtime.GOARCH {
	case "amd64":
		return v == "" || v == "v1"
	case "arm64":
		return v == "" || v == "v8"
	}
	return true
}
