package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/cpu"
)

// mostNested is how many manifest lists may lie in each other.
const mostNested = 3

// mostTried is how many entries of one list are tried, and mostShown how many are told.
const mostTried, mostShown = 16, 20

var errTooNested = fmt.Errorf("%w: more than %d manifest lists within each other", ErrCorrupt, mostNested)

// isList goes by the media type, and by the content where a server calls everything JSON.
func isList(m types.MediaType, raw []byte) bool {
	if m.IsIndex() || m.IsImage() {
		return m.IsIndex()
	}
	var doc struct {
		MediaType types.MediaType `json:"mediaType"`
	}
	return json.Unmarshal(raw, &doc) == nil && doc.MediaType.IsIndex()
}

// ambiguous refuses a document that is both a manifest and a list: two readers would see two images under
// one digest (CVE-2021-41190).
func ambiguous(raw []byte) error {
	if err := fewEntries(raw); err != nil {
		return err
	}
	var doc struct{ Manifests, Config, Layers json.RawMessage }
	if err := json.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("read manifest: %w: %w", ErrCorrupt, err)
	}
	if doc.Manifests != nil && (doc.Config != nil || doc.Layers != nil) {
		return fmt.Errorf("read manifest: %w: it is an image and a list of images at once", ErrCorrupt)
	}
	return nil
}

func readList(raw []byte) (*v1.IndexManifest, error) {
	if err := ambiguous(raw); err != nil {
		return nil, err
	}
	list, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read manifest list: %w: %w", ErrCorrupt, err)
	}
	return list, nil
}

func parseManifest(raw []byte) (*v1.Manifest, error) {
	if err := ambiguous(raw); err != nil {
		return nil, err
	}
	man, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w: %w", ErrCorrupt, err)
	}
	if man.SchemaVersion == 1 {
		return nil, fmt.Errorf("%w: its manifest is of Docker's schema 1, which nobody supports any more: push it again with a newer tool", ErrNoImage)
	}
	if man.Config.Digest.Hex == "" {
		return nil, fmt.Errorf("read manifest: %w: it names no configuration", ErrCorrupt)
	}
	return man, nil
}

// runsHere takes an unnamed platform as this one: old images leave it out.
func runsHere(os, arch string) bool {
	return (os == "" || os == runtime.GOOS) && (arch == "" || arch == runtime.GOARCH)
}

// candidates are the entries of a list that may hold the image for this node, the best first: for this
// platform, by variant and then as the list has them, and then lists that do not say what they hold. Entries
// for "unknown" (signatures and attestations) are not images to run.
func candidates(list *v1.IndexManifest) []v1.Descriptor {
	var fit, open []v1.Descriptor
	for _, m := range list.Manifests {
		switch p := m.Platform; {
		case p == nil:
			// A layout written by hand may leave platforms out: one image is then the image.
			if m.MediaType.IsIndex() || len(list.Manifests) == 1 {
				open = append(open, m)
			}
		case p.OS == runtime.GOOS && p.Architecture == runtime.GOARCH && variantRank(p.Variant) > 0:
			fit = append(fit, m)
		}
	}
	slices.SortStableFunc(fit, func(a, b v1.Descriptor) int { return variantRank(b.Platform.Variant) - variantRank(a.Platform.Variant) })
	return append(fit, open...)
}

// first tries the candidates until one is for this node.
func first[T any](all []v1.Descriptor, list *v1.IndexManifest, try func(v1.Descriptor) (T, error)) (T, error) {
	var none T
	var last error
	for _, d := range all[:min(len(all), mostTried)] {
		got, err := try(d)
		if !errors.Is(err, ErrPlatform) {
			return got, err
		}
		last = err
	}
	if last != nil && len(all) == 1 {
		return none, last
	}
	have := []string{}
	for _, m := range list.Manifests {
		if p := m.Platform; p != nil && p.OS != "unknown" && len(have) < mostShown {
			have = append(have, p.String())
		}
	}
	return none, fmt.Errorf("%w: this node is %s/%s, the list has %v", ErrPlatform, runtime.GOOS, runtime.GOARCH, have)
}

// variantRank is how well a variant of the architecture suits this processor, 0 if it cannot run it. What
// every processor can run goes before what only newer ones can, as with other runtimes: a variant decides
// only where there is nothing else.
func variantRank(v string) int {
	switch runtime.GOARCH {
	case "amd64":
		return amd64Rank(v, amd64Level())
	case "arm64":
		switch v {
		case "", "v8":
			return 2
		}
		return 0
	}
	return 1
}

// amd64Rank prefers the baseline, and then the most that a processor of a level can run.
func amd64Rank(v string, level int) int {
	if v == "" || v == "v1" {
		return 9
	}
	if len(v) == 2 && v[0] == 'v' && v[1] >= '2' && v[1] <= '4' && int(v[1]-'0') <= level {
		return int(v[1] - '0')
	}
	return 0
}

// amd64Level is the microarchitecture level of this processor (x86-64 psABI), as far as it can be told.
func amd64Level() int {
	x := cpu.X86
	switch {
	case !(x.HasSSE3 && x.HasSSSE3 && x.HasSSE41 && x.HasSSE42 && x.HasPOPCNT && x.HasCX16):
		return 1
	case !(x.HasAVX && x.HasAVX2 && x.HasBMI1 && x.HasBMI2 && x.HasFMA && x.HasOSXSAVE):
		return 2
	case !(x.HasAVX512F && x.HasAVX512BW && x.HasAVX512CD && x.HasAVX512DQ && x.HasAVX512VL):
		return 3
	}
	return 4
}
