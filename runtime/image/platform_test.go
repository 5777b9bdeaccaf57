package image

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"writ/fixtures/registry"
)

// listOf is a list of images.
func listOf(entries ...mutate.IndexAddendum) v1.ImageIndex {
	return mutate.AppendManifests(empty.Index, entries...)
}

// entryFor is one entry of a list; an empty system leaves the platform out.
func entryFor(add mutate.Appendable, os, arch, variant string) mutate.IndexAddendum {
	a := mutate.IndexAddendum{Add: add}
	if os != "" {
		a.Descriptor.Platform = &v1.Platform{OS: os, Architecture: arch, Variant: variant}
	}
	return a
}

func TestCandidates_Order(t *testing.T) {
	here := runtime.GOARCH
	m := func(name, os, arch, variant string) v1.Descriptor {
		d := v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: name}, MediaType: types.OCIManifestSchema1}
		if os != "" {
			d.Platform = &v1.Platform{OS: os, Architecture: arch, Variant: variant}
		}
		return d
	}
	index := v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: "index"}, MediaType: types.OCIImageIndex}
	for _, c := range []struct {
		name string
		list []v1.Descriptor
		want []string
	}{
		{"the platform", []v1.Descriptor{m("a", "linux", "s390x", ""), m("b", "linux", here, "")}, []string{"b"}},
		{"the first of two", []v1.Descriptor{m("a", "linux", here, ""), m("b", "linux", here, "")}, []string{"a", "b"}},
		{"attestations are passed over", []v1.Descriptor{m("a", "unknown", "unknown", ""), m("b", "linux", here, "")}, []string{"b"}},
		{"one without platform is the image", []v1.Descriptor{m("a", "", "", "")}, []string{"a"}},
		{"two without platform are none", []v1.Descriptor{m("a", "", "", ""), m("b", "", "", "")}, nil},
		{"a list within comes last", []v1.Descriptor{index, m("a", "linux", here, "")}, []string{"a", "index"}},
		{"another system", []v1.Descriptor{m("a", "windows", here, "")}, nil},
		{"nothing", nil, nil},
	} {
		var got []string
		for _, d := range candidates(&v1.IndexManifest{Manifests: c.list}) {
			got = append(got, d.Digest.Hex)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAMD64Rank(t *testing.T) {
	order := func(level int) []string {
		all := []string{"v3", "v2", "", "v4", "v5", "x"}
		all = slices.DeleteFunc(all, func(v string) bool { return amd64Rank(v, level) == 0 })
		slices.SortStableFunc(all, func(a, b string) int { return amd64Rank(b, level) - amd64Rank(a, level) })
		return all
	}
	for level, want := range map[int][]string{1: {""}, 2: {"", "v2"}, 3: {"", "v3", "v2"}, 4: {"", "v4", "v3", "v2"}} {
		if got := order(level); !slices.Equal(got, want) {
			t.Errorf("level %d: got %q, want %q", level, got, want)
		}
	}
	if n := amd64Level(); runtime.GOARCH == "amd64" && (n < 1 || n > 4) {
		t.Errorf("level of this processor is %d", n)
	}
}

func TestPull_ListsWithinLists(t *testing.T) {
	here, other := small(t, nil, map[string]string{"a": "here"}), setPlatform(t, small(t, nil, map[string]string{"a": "x"}), "linux", "s390x")
	arch := runtime.GOARCH
	inner := listOf(entryFor(other, "linux", "s390x", ""), entryFor(here, "linux", arch, ""))
	foreign := listOf(entryFor(other, "linux", "s390x", ""))
	deep := v1.ImageIndex(listOf(entryFor(here, "linux", arch, "")))
	for range mostNested {
		deep = listOf(entryFor(deep, "", "", ""))
	}
	for _, c := range []struct {
		name string
		list v1.ImageIndex
		want error
	}{
		{"one in another", listOf(entryFor(inner, "", "", "")), nil},
		{"by platform", listOf(entryFor(foreign, "linux", "s390x", ""), entryFor(inner, "linux", arch, "")), nil},
		{"the second of two", listOf(entryFor(foreign, "", "", ""), entryFor(inner, "", "", "")), nil},
		{"none for this node", listOf(entryFor(foreign, "", "", "")), ErrPlatform},
		{"too deep", deep, ErrCorrupt},
		{"empty", listOf(), ErrPlatform},
	} {
		reg := registry.Start(t)
		s := openStore(t, t.TempDir())
		img, err := s.Pull(t.Context(), pushIndex(t, reg, c.list, "list:v"), Access{})
		if !errors.Is(err, c.want) || c.want == nil && (err != nil || content(t, s, img, 0, "a") != "here") {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if errors.Is(err, ErrPlatform) && !strings.Contains(err.Error(), "this node is linux/"+arch) {
			t.Errorf("%s: %v does not say what this node is", c.name, err)
		}
	}
}

// A few bytes of a document can be many in memory.
func TestDocuments_ManySmallEntries(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("{},", 2<<20), ",")
	s, _ := archiveStore(t)
	for name, read := range map[string]func() error{
		"list":     func() error { _, err := readList([]byte(`{"manifests":[` + many + `]}`)); return err },
		"manifest": func() error { _, err := readManifest([]byte(`{"layers":[` + many + `]}`)); return err },
		"configuration": func() error {
			_, _, err := s.check(bundle{config: []byte(`{"history":[` + many + `]}`)})
			return err
		},
		"layout": func() error {
			_, err := s.Load(t.Context(), bytes.NewReader(pack(t, regular("index.json", `{"manifests":[`+many+`]}`))))
			return err
		},
	} {
		peak := heapWhile(t, func() {
			if err := read(); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "entries") {
				t.Errorf("%s: got %v, want %v: too many entries", name, err, ErrCorrupt)
			}
		})
		if peak > 128<<20 {
			t.Errorf("%s: the heap grew by %d MiB", name, peak>>20)
		}
	}
}

// A list of lists is not searched without end, nor is all that it has told.
func TestPull_ListOfManyLists(t *testing.T) {
	var many []mutate.IndexAddendum
	for i := range 100 {
		inner, ok := mutate.Annotations(listOf(), map[string]string{"n": fmt.Sprint(i)}).(v1.ImageIndex)
		if !ok {
			t.Fatal("an annotated list is no list")
		}
		many = append(many, entryFor(inner, runtime.GOOS, runtime.GOARCH, ""))
	}
	reg := registry.Start(t)
	ref := pushIndex(t, reg, listOf(many...), "list:v")
	reg.Forget()
	_, err := openStore(t, t.TempDir()).Pull(t.Context(), ref, Access{})
	if !errors.Is(err, ErrPlatform) || len(err.Error()) > 1000 {
		t.Errorf("got %v, want a short %v", err, ErrPlatform)
	}
	if n := reg.Count("GET /v2/list/manifests/"); n > 1+mostTried {
		t.Errorf("the registry was asked for %d lists, want %d at most", n, 1+mostTried)
	}
}

// A tag beside a digest is passed over: the digest counts.
func TestPull_TagAndDigest(t *testing.T) {
	reg := registry.Start(t)
	one, two := small(t, nil, map[string]string{"a": "1"}), small(t, nil, map[string]string{"a": "2"})
	push(t, reg, one, "app:v")
	ref := push(t, reg, two, "app:v")
	s := openStore(t, t.TempDir())
	img, err := s.Pull(t.Context(), ref+"@"+digest(t, one), Access{})
	if err != nil || content(t, s, img, 0, "a") != "1" || img.StatusID() != reg.Host+"/app@"+digest(t, one) {
		t.Errorf("got %s, %v; want the image of the digest", img.StatusID(), err)
	}
	if _, ok := s.Resolve(ref); ok {
		t.Error("the tag is answered by what was asked for by digest")
	}
}

func TestPull_WhatIsNoImage(t *testing.T) {
	img := small(t, nil, map[string]string{"a": "1"})
	layer := func(kind types.MediaType) v1.Image {
		out, err := mutate.AppendLayers(empty.Image, static.NewLayer([]byte("something"), kind))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct {
		name string
		img  v1.Image
		want string
	}{
		{"chart", mutate.ConfigMediaType(img, "application/vnd.cncf.helm.config.v1+json"), "an artifact of type application/vnd.cncf.helm.config.v1+json, not an image"},
		{"empty configuration", mutate.ConfigMediaType(img, "application/vnd.oci.empty.v1+json"), "an artifact of type application/vnd.oci.empty.v1+json"},
		{"signature", layer("application/vnd.dev.cosign.simplesigning.v1+json"), "layer 0 is a application/vnd.dev.cosign.simplesigning.v1+json, not a layer of files"},
		{"encrypted", layer("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), "layer 0 is encrypted"},
	} {
		reg := registry.Start(t)
		s := openStore(t, t.TempDir())
		_, err := s.Pull(t.Context(), push(t, reg, c.img, "app:v"), Access{})
		if !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestPull_HostileManifests(t *testing.T) {
	img := small(t, nil, map[string]string{"a": "1"})
	raw, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"no JSON", "not JSON", ErrCorrupt},
		{"nothing in it", "{}", ErrCorrupt},
		{"a list and an image", strings.Replace(string(raw), `"config":`, `"manifests":[],"config":`, 1), ErrCorrupt},
		{"schema 1", `{"schemaVersion":1,"name":"x","fsLayers":[]}`, ErrNoImage},
		{"an array", "[]", ErrCorrupt},
		{"a huge configuration", regexp.MustCompile(`("config":\{[^}]*"size":)\d+`).ReplaceAllString(string(raw), "${1}9999999999"), ErrCorrupt},
		{"deep", strings.Repeat(`{"a":`, 100_000), ErrCorrupt},
	} {
		reg := registry.Start(t)
		ref := push(t, reg, img, "app:v")
		reg.Alter(func(r *http.Request, body []byte) []byte {
			if strings.Contains(r.URL.Path, "/manifests/v") {
				return []byte(c.body)
			}
			return body
		})
		s := openStore(t, t.TempDir())
		if _, err := s.Pull(t.Context(), ref, Access{}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		noTraces(t, s)
	}
}

func TestIsList_GoesByContentWhereTheServerSaysJSON(t *testing.T) {
	for body, want := range map[string]bool{
		`{"mediaType":"application/vnd.oci.image.index.v1+json"}`: true, `{"mediaType":"application/vnd.oci.image.manifest.v1+json"}`: false, `{}`: false, `x`: false,
	} {
		if got := isList("application/json", []byte(body)); got != want {
			t.Errorf("%s: got %v, want %v", body, got, want)
		}
	}
	if isList(types.OCIManifestSchema1, []byte(`{"mediaType":"application/vnd.oci.image.index.v1+json"}`)) {
		t.Error("the type that the server gave does not count")
	}
}
