package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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

// mostKept bounds what is kept of a configuration, in bytes: no program is started with more.
const mostKept = 1 << 20

// kept is what containers need of a configuration. All of it would be in memory, and in every index that is written.
func kept(c *v1.Config) (v1.Config, error) {
	out := v1.Config{User: c.User, Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Cmd, WorkingDir: c.WorkingDir, StopSignal: c.StopSignal, Volumes: c.Volumes}
	text, err := json.Marshal(out)
	if err != nil {
		return out, fmt.Errorf("keep image configuration: %w", err)
	}
	if len(text) > mostKept {
		return out, fmt.Errorf("%w: environment, command and volumes of %d bytes, at most %d are allowed", ErrCorrupt, len(text), mostKept)
	}
	return out, nil
}

// check reads the configuration and holds it against the bundle, the limits and this node.
func (s *Store) check(b bundle) ([]string, *v1.ConfigFile, error) {
	if err := fewEntries(b.config); err != nil {
		return nil, nil, err
	}
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
	var size int64
	for _, l := range b.layers {
		if l.size < 0 || l.size > math.MaxInt64-size { // what is here already is not held against its size
			return nil, nil, fmt.Errorf("%w: its layers have more bytes together than can be counted", ErrCorrupt)
		}
		size += l.size
	}
	diffIDs := make([]string, len(b.layers))
	for i, h := range cfg.RootFS.DiffIDs {
		if h.Algorithm != "sha256" || len(h.Hex) != 64 {
			return nil, nil, fmt.Errorf("read image configuration: %w: layer %d is named %s, want a sha256", ErrCorrupt, i, h)
		}
		diffIDs[i] = h.String()
	}
	cfg.Config, err = kept(&cfg.Config)
	return diffIDs, cfg, err
}
