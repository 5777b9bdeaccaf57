package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"writ/fixtures/images"
	"writ/fixtures/registry"
)

// noise is text that does not compress.
func noise(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		sum := sha256.Sum256(fmt.Append(nil, i))
		b.WriteString(hex.EncodeToString(sum[:]))
	}
	return b.String()[:n]
}

// impatient makes a store give up soon.
func impatient(s *Store) {
	s.patience = patience{silence: 50 * time.Millisecond, pause: time.Millisecond, documents: 5 * time.Second}
}

func TestPull_ResumesABrokenDownload(t *testing.T) {
	text := noise(300_000)
	img := small(t, nil, map[string]string{"a": text})
	layer := layerDigest(t, img, 0)
	blob := func(r *http.Request) bool { return strings.Contains(r.URL.Path, layer) }
	for _, c := range []struct {
		name   string
		cut    registry.Cut
		asked  int // for the layer; 0: do not look
		failed bool
	}{
		{"once", registry.Cut{After: 50_000, Times: 1}, 2, false},
		{"before the first byte", registry.Cut{After: 0, Times: 1}, 2, false},
		{"again and again, with progress", registry.Cut{After: 20_000, Times: 1000}, 0, false},
		{"again and again, without", registry.Cut{After: 0, Times: 1000}, 0, true},
		{"by a registry that knows no parts", registry.Cut{After: 50_000, Times: 2, NoRange: true}, 3, false},
		{"for ever by a registry that knows no parts", registry.Cut{After: 50_000, Times: 1000, NoRange: true}, resumes + 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := registry.Start(t)
			ref := push(t, reg, img, "app:v")
			c.cut.When = blob
			reg.Cut(&c.cut)
			reg.Forget()
			s := openStore(t, t.TempDir())
			impatient(s)
			s.patience.silence = 10 * time.Second
			got, err := s.Pull(t.Context(), ref, Access{})
			if c.failed {
				if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "broke off after") {
					t.Errorf("got %v, want %v that says where it broke off", err, ErrUnavailable)
				}
				noTraces(t, s)
			} else if err != nil || content(t, s, got, 0, "a") != text {
				t.Errorf("pull: %v", err)
			}
			if n := reg.Count("GET /v2/app/blobs/" + layer); c.asked > 0 && n != c.asked {
				t.Errorf("the layer was asked for %d times, want %d", n, c.asked)
			}
		})
	}
}

// The address of a layer's content may be good for a while only: the registry gives another.
func TestPull_ResumesAtAnotherAddress(t *testing.T) {
	text := noise(300_000)
	img := small(t, nil, map[string]string{"a": text})
	layer := layerDigest(t, img, 0)
	reg := registry.Start(t)
	reg.RequireToken("u", "p")
	ref := push(t, reg, img, "app:v")
	reg.Elsewhere()
	reg.Cut(&registry.Cut{When: func(r *http.Request) bool { return strings.Contains(r.URL.Path, layer) }, After: 60_000, Times: 2})
	reg.Forget()
	s := openStore(t, t.TempDir())
	impatient(s)
	s.patience.silence = 10 * time.Second
	access := Access{Namespace: "a", Secrets: []Secret{{Name: "s", Data: images.DockerConfig(reg.Host, "u", "p")}}}
	got, err := s.Pull(t.Context(), ref, access)
	if err != nil || content(t, s, got, 0, "a") != text {
		t.Fatalf("pull: %v", err)
	}
	if n := reg.Count("GET /v2/app/blobs/" + layer); n != 3 {
		t.Errorf("the registry was asked for the layer %d times, want 3: %q", n, reg.Requests())
	}
}

// The registry client gets a new token for a request that it makes, and does not make those that resume.
func TestPull_ResumesWithANewToken(t *testing.T) {
	text := noise(300_000)
	img := small(t, nil, map[string]string{"a": text})
	layer := layerDigest(t, img, 0)
	reg := registry.Start(t)
	reg.RequireToken("u", "p")
	ref := push(t, reg, img, "app:v")
	blob := func(r *http.Request) bool { return strings.Contains(r.URL.Path, layer) }
	reg.Cut(&registry.Cut{When: blob, After: 60_000, Times: 1})
	var good atomic.Int64 // how many tokens were given when the one is that is good after the cut
	reg.Fail(http.StatusUnauthorized, func(r *http.Request) bool {
		if !blob(r) || r.Header.Get("Range") == "" {
			return false
		}
		given := int64(reg.Count("GET /token"))
		good.CompareAndSwap(0, given+1)
		return given < good.Load()
	})
	s := openStore(t, t.TempDir())
	impatient(s)
	s.patience.silence = 10 * time.Second
	access := Access{Namespace: "a", Secrets: []Secret{{Name: "s", Data: images.DockerConfig(reg.Host, "u", "p")}}}
	got, err := s.Pull(t.Context(), ref, access)
	if err != nil || content(t, s, got, 0, "a") != text {
		t.Fatalf("pull: %v", err)
	}
	if good.Load() == 0 {
		t.Error("nothing was resumed")
	}
}

func TestPull_ResumedDownloadIsStillVerified(t *testing.T) {
	img := small(t, nil, map[string]string{"a": noise(100_000)})
	layer := layerDigest(t, img, 0)
	blob := func(r *http.Request) bool { return strings.Contains(r.URL.Path, layer) }
	reg := registry.Start(t)
	ref := push(t, reg, img, "app:v")
	reg.Cut(&registry.Cut{When: blob, After: 30_000, Times: 1})
	reg.Alter(func(r *http.Request, body []byte) []byte {
		if blob(r) && r.Header.Get("Range") != "" {
			body = bytes.Clone(body)
			body[10] ^= 1
		}
		return body
	})
	s := openStore(t, t.TempDir())
	impatient(s)
	if _, err := s.Pull(t.Context(), ref, Access{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want %v", err, ErrCorrupt)
	}
	noTraces(t, s)
}

// A registry that falls silent in the middle is asked again for the rest, and given up when that helps nothing.
func TestPull_SilenceIsBroken(t *testing.T) {
	text := noise(200_000)
	img := small(t, nil, map[string]string{"a": text})
	layer := layerDigest(t, img, 0)
	reg := registry.Start(t)
	ref := push(t, reg, img, "app:v")
	reg.Stall(func(r *http.Request) bool { return strings.Contains(r.URL.Path, layer) && r.Header.Get("Range") == "" })
	s := openStore(t, t.TempDir())
	impatient(s)
	if got, err := s.Pull(t.Context(), ref, Access{}); err != nil || content(t, s, got, 0, "a") != text {
		t.Errorf("pull: %v", err)
	}
}

func TestPull_AnsweredByNothing(t *testing.T) {
	img := small(t, nil, map[string]string{"a": "1"})
	layer := layerDigest(t, img, 0)
	for _, part := range []string{"/v2/", "/manifests/", configDigest(t, img), layer} {
		reg := registry.Start(t)
		ref := push(t, reg, img, "app:v")
		reg.Hold(func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) })
		s := openStore(t, t.TempDir())
		impatient(s)
		s.patience.documents = 200 * time.Millisecond
		begun := time.Now()
		_, err := s.Pull(t.Context(), ref, Access{})
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s is never answered: got %v, want %v", part, err, ErrUnavailable)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("%s is never answered: given up after %v", part, took)
		}
		noTraces(t, s)
		reg.Release()
	}
}

func TestPull_LayersThatCameStayForTheNextTry(t *testing.T) {
	img := small(t, nil, map[string]string{"a": noise(1000)}, map[string]string{"b": noise(2000)})
	one, two := layerDigest(t, img, 0), layerDigest(t, img, 1)
	reg := registry.Start(t)
	ref := push(t, reg, img, "app:v")
	s := openStore(t, t.TempDir())
	impatient(s)
	reg.Hold(func(r *http.Request) bool { return strings.Contains(r.URL.Path, two) })
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, err := s.Pull(ctx, ref, Access{}); done <- err }()
	waitFor(t, func() bool { return layersOnDisk(t, s) == 1 })
	cancel() // as a daemon that ends
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	reg.Release()
	reg.Forget()
	if _, err := s.Pull(t.Context(), ref, Access{}); err != nil {
		t.Fatal(err)
	}
	if n := reg.Count("GET /v2/app/blobs/" + one); n != 0 {
		t.Errorf("the layer that was here was asked for %d times", n)
	}
}

// What comes is bounded by what the manifest says, before the digest can be known.
func TestPull_LiesAboutSizes(t *testing.T) {
	img := small(t, nil, map[string]string{"a": noise(5000)})
	layer := layerDigest(t, img, 0)
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	size := m.Layers[0].Size
	raw, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	for claimed, want := range map[int64]string{size - 1: "larger than the manifest says", size + 1: "1 bytes shorter than the manifest says", -5: "-5 bytes", size + 1<<40: "shorter"} {
		reg := registry.Start(t)
		ref := push(t, reg, img, "app:v")
		reg.Alter(func(r *http.Request, body []byte) []byte {
			if strings.Contains(r.URL.Path, "/manifests/v") {
				return bytes.Replace(raw, fmt.Appendf(nil, `"size":%d,"digest":"%s"`, size, layer), fmt.Appendf(nil, `"size":%d,"digest":"%s"`, claimed, layer), 1)
			}
			return body
		})
		s := openStore(t, t.TempDir())
		impatient(s)
		if _, err := s.Pull(t.Context(), ref, Access{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes claimed of %d: got %v, want %q", claimed, size, err, want)
		}
		noTraces(t, s)
		if n := layersOnDisk(t, s); n != 0 {
			t.Errorf("%d bytes claimed of %d: %d layers are left", claimed, size, n)
		}
	}
}

// A registry cannot fill the memory with a manifest, which nothing says the size of.
func TestPull_EndlessManifest(t *testing.T) {
	reg := registry.Start(t)
	ref := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "app:v")
	reg.Alter(func(r *http.Request, body []byte) []byte {
		if strings.Contains(r.URL.Path, "/manifests/") {
			return append(bytes.Clone(body), bytes.Repeat([]byte(" "), mostDocument)...)
		}
		return body
	})
	if _, err := openStore(t, t.TempDir()).Pull(t.Context(), ref, Access{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "larger than allowed") {
		t.Errorf("got %v, want %v: larger than allowed", err, ErrCorrupt)
	}
}

// Nothing is left of an image that is refused, not even its good layers.
func TestPull_RefusedImageLeavesNothing(t *testing.T) {
	img := small(t, nil, map[string]string{"a": "1"}, map[string]string{"b": "2"}, map[string]string{"c": "3"})
	bad := layerDigest(t, img, 2)
	reg := registry.Start(t)
	shared := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "base:v")
	ref := push(t, reg, img, "app:v")
	s := openStore(t, t.TempDir())
	base, err := s.Pull(t.Context(), shared, Access{})
	if err != nil {
		t.Fatal(err)
	}
	reg.Alter(func(r *http.Request, body []byte) []byte {
		if strings.Contains(r.URL.Path, bad) {
			body = bytes.Clone(body)
			body[len(body)-9] ^= 1
		}
		return body
	})
	if _, err := s.Pull(t.Context(), ref, Access{}); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("got %v, want %v", err, ErrCorrupt)
	}
	noTraces(t, s)
	if n := layersOnDisk(t, s); n != 1 {
		t.Errorf("%d layers on disk, want the one of the other image", n)
	}
	if _, err := os.Lstat(filepath.Join(s.layerDir(base.Layers[0]), "a")); err != nil {
		t.Error(err)
	}
}

// Layers that are here already are taken whatever size the manifest gives them.
func TestCheck_SizesThatOverflow(t *testing.T) {
	img := small(t, nil, map[string]string{"a": "1"}, map[string]string{"b": "2"})
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, t.TempDir())
	for sizes, fine := range map[[2]int64]bool{{1, math.MaxInt64 - 1}: true, {1, math.MaxInt64}: false, {math.MaxInt64, math.MaxInt64}: false, {-1, 5}: false} {
		_, _, err := s.check(bundle{config: config, layers: []blob{{size: sizes[0]}, {size: sizes[1]}}})
		if errors.Is(err, ErrCorrupt) == fine || fine && err != nil {
			t.Errorf("%d: %v", sizes, err)
		}
	}
}
