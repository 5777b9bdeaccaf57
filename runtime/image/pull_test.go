package image

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/images"
	"writ/fixtures/registry"
)

func TestPull_Trouble(t *testing.T) {
	is := func(part string) func(*http.Request) bool {
		return func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
	}
	spoil := func(part string) func(*http.Request, []byte) []byte {
		return func(r *http.Request, body []byte) []byte {
			if !strings.Contains(r.URL.Path, part) {
				return body
			}
			return append(bytes.Clone(body[:len(body)-1]), '!')
		}
	}
	img := small(t, nil, map[string]string{"a": "1"})
	cfg, layer := configDigest(t, img), layerDigest(t, img, 0)
	for _, c := range []struct {
		name  string
		setup func(r *registry.Registry)
		ref   string // after the host; empty is app:v
		want  error
	}{
		{"missing tag", nil, "app:other", ErrNotFound},
		{"missing repository", nil, "nobody:v", ErrNotFound},
		{"missing digest", nil, "app@sha256:" + strings.Repeat("0", 64), ErrNotFound},
		{"404 everywhere", func(r *registry.Registry) { r.Fail(404, is("/manifests/")) }, "", ErrNotFound},
		{"password wanted", func(r *registry.Registry) { r.RequirePassword("u", "p") }, "", ErrUnauthorized},
		{"forbidden", func(r *registry.Registry) { r.Fail(403, is("/manifests/")) }, "", ErrUnauthorized},
		{"too many requests", func(r *registry.Registry) { r.Fail(429, is("/manifests/")) }, "", ErrUnavailable},
		{"server error", func(r *registry.Registry) { r.Fail(500, nil) }, "", ErrUnavailable},
		{"bad gateway for a layer", func(r *registry.Registry) { r.Fail(502, is(layer)) }, "", ErrUnavailable},
		{"missing layer", func(r *registry.Registry) { r.Fail(404, is(layer)) }, "", ErrNotFound},
		{"no server", func(r *registry.Registry) { r.Stop() }, "", ErrUnavailable},
		{"other manifest than the digest", func(r *registry.Registry) { r.Alter(spoil("/manifests/")) }, "app@" + digest(t, img), ErrCorrupt},
		{"other configuration than the digest", func(r *registry.Registry) { r.Alter(spoil(cfg)) }, "", ErrCorrupt},
		{"other layer than the digest", func(r *registry.Registry) { r.Alter(spoil(layer)) }, "", ErrCorrupt},
		{"capitals", nil, "App:v", ErrInvalidName},
		{"bad digest", nil, "app@sha256:12", ErrInvalidName},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := registry.Start(t)
			ref := push(t, reg, img, "app:v")
			if c.setup != nil {
				c.setup(reg)
			}
			if c.ref != "" {
				ref = reg.Host + "/" + c.ref
			}
			s := openStore(t, t.TempDir())
			_, err := s.Pull(t.Context(), ref, Access{})
			if !errors.Is(err, c.want) {
				t.Errorf("pull %s: got %v, want %v", ref, err, c.want)
			}
			for _, k := range kinds {
				if k != c.want && errors.Is(err, k) {
					t.Errorf("pull %s: %v is also %v", ref, err, k)
				}
			}
			if got := s.list(); len(got) != 0 {
				t.Errorf("store holds %v, want nothing", got)
			}
			noTraces(t, s)
		})
	}
}

func TestReason(t *testing.T) {
	s := openStore(t, t.TempDir())
	for ref, want := range map[string]string{"Bad Name": "InvalidImageName", "127.0.0.1:1/app:v": "ErrImagePull"} {
		_, err := s.Ensure(t.Context(), ref, corev1.PullAlways, Access{})
		if got := Reason(err); got != want {
			t.Errorf("%s: reason is %s (%v), want %s", ref, got, err, want)
		}
	}
	_, err := s.Ensure(t.Context(), "127.0.0.1:1/app:v", corev1.PullNever, Access{})
	if got := Reason(err); got != "ErrImageNeverPull" {
		t.Errorf("never: reason is %s (%v), want ErrImageNeverPull", got, err)
	}
}

func TestPull_PlatformOfAList(t *testing.T) {
	reg := registry.Start(t)
	here, other := small(t, nil, map[string]string{"a": "here"}), small(t, nil, map[string]string{"a": "other"})
	other = setPlatform(t, other, "linux", "s390x")
	add := func(img v1.Image, os, arch string) mutate.IndexAddendum {
		return mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: os, Architecture: arch}}}
	}
	cf, err := here.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	both := mutate.AppendManifests(empty.Index, add(other, "linux", "s390x"), add(here, "linux", cf.Architecture))
	foreign := mutate.AppendManifests(empty.Index, add(other, "linux", "s390x"))
	s := openStore(t, t.TempDir())
	ref := pushIndex(t, reg, both, "list:both")
	img, err := s.Pull(t.Context(), ref, Access{})
	if err != nil {
		t.Fatal(err)
	}
	top, err := both.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, s, img, 0, "a"); got != "here" || img.Digest != top.String() {
		t.Errorf("got %q of %s, want here of %s", got, img.Digest, top)
	}
	for _, d := range []string{top.String(), digest(t, here)} {
		if again, ok := s.Resolve(reg.Host + "/list@" + d); !ok || again.ID != img.ID {
			t.Errorf("by digest %s: %+v, %v; want the image", d, again, ok)
		}
	}
	if _, err := s.Pull(t.Context(), pushIndex(t, reg, foreign, "list:foreign"), Access{}); !errors.Is(err, ErrPlatform) {
		t.Errorf("list without this platform: got %v, want %v", err, ErrPlatform)
	}
	if _, err := s.Pull(t.Context(), push(t, reg, other, "single:v"), Access{}); !errors.Is(err, ErrPlatform) {
		t.Errorf("image of another platform: got %v, want %v", err, ErrPlatform)
	}
}

func setPlatform(t *testing.T, img v1.Image, os, arch string) v1.Image {
	t.Helper()
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture = os, arch
	out, err := mutate.ConfigFile(img, cf)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func pushIndex(t *testing.T, reg *registry.Registry, idx v1.ImageIndex, tag string) string {
	t.Helper()
	ref, err := name.ParseReference(reg.Host + "/" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, idx, remote.WithAuth(authn.Anonymous)); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

func TestEnsure_Policies(t *testing.T) {
	reg := registry.Start(t)
	ref := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "app:v")
	s := openStore(t, t.TempDir())
	if _, err := s.Ensure(t.Context(), ref, corev1.PullNever, Access{}); !errors.Is(err, ErrNeverPull) {
		t.Errorf("never, absent: got %v, want %v", err, ErrNeverPull)
	}
	ask := func(p corev1.PullPolicy) int {
		t.Helper()
		reg.Forget()
		if _, err := s.Ensure(t.Context(), ref, p, Access{Namespace: "a"}); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		return len(reg.Requests())
	}
	if ask(corev1.PullIfNotPresent) == 0 {
		t.Error("if not present, absent: the registry was not asked")
	}
	if n := ask(corev1.PullIfNotPresent); n != 0 {
		t.Errorf("if not present, present: the registry was asked %d times", n)
	}
	if n := ask(corev1.PullNever); n != 0 {
		t.Errorf("never, present: the registry was asked %d times", n)
	}
	if ask(corev1.PullAlways) == 0 {
		t.Error("always, present: the registry was not asked")
	}
	reg.Fail(http.StatusNotFound, nil)
	if _, err := s.Ensure(t.Context(), ref, corev1.PullAlways, Access{Namespace: "a"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("always, present, gone from the registry: got %v, want %v", err, ErrNotFound)
	}
	reg.Stop()
	before := time.Now()
	img, err := s.Ensure(t.Context(), ref, corev1.PullAlways, Access{Namespace: "a"})
	if err != nil || !img.Unasked {
		t.Errorf("always, present, registry away: %+v, %v; want the image, unasked", img, err)
	}
	if used := s.List()[0].Used; used.Before(before) {
		t.Errorf("it was used at %v, want after %v", used, before)
	}
}

func TestPull_GivesUpOnSilence(t *testing.T) {
	img := small(t, nil, map[string]string{"a": strings.Repeat("text", 1000)})
	for _, part := range []string{"/manifests/", configDigest(t, img), layerDigest(t, img, 0)} {
		reg := registry.Start(t)
		ref := push(t, reg, img, "app:v")
		reg.Stall(func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) })
		s := openStore(t, t.TempDir())
		s.patience = patience{silence: 20 * time.Millisecond, pause: time.Millisecond, documents: 200 * time.Millisecond}
		_, err := s.Pull(t.Context(), ref, Access{})
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "stopped sending") {
			t.Errorf("%s stall: got %v, want that it stopped sending", part, err)
		}
		noTraces(t, s)
	}
}

func TestEnsure_OneNamespacesSecretServesNoOther(t *testing.T) {
	reg := registry.Start(t)
	reg.RequirePassword("ann", "tea")
	ref := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "private/app:v")
	good := Secret{Name: "pull", Data: images.DockerConfig(reg.Host, "ann", "tea")}
	bad := Secret{Name: "pull", Data: images.DockerConfig(reg.Host, "ann", "coffee")}
	elsewhere := Secret{Name: "other", Data: images.DockerConfig("registry.example", "ann", "tea")}
	dir := t.TempDir()
	s := openStore(t, dir)
	const missing = corev1.PullIfNotPresent
	img, err := s.Ensure(t.Context(), ref, missing, Access{"red", []Secret{bad, elsewhere, good}})
	if err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir) // proofs are kept
	for _, c := range []struct {
		what, namespace string
		secrets         []Secret
		policy          corev1.PullPolicy
		want            error
	}{
		{"the same namespace, its secret gone", "red", nil, missing, nil},
		{"another without secret", "blue", nil, missing, ErrUnauthorized},
		{"another, policy never", "blue", nil, corev1.PullNever, ErrNeverPull},
		{"another with a wrong one", "blue", []Secret{bad}, missing, ErrUnauthorized},
		{"another with one for elsewhere", "blue", []Secret{elsewhere}, missing, ErrUnauthorized},
		{"another with a broken one", "blue", []Secret{{Name: "x", Data: []byte("pass:word")}}, missing, ErrUnauthorized},
		{"another with a right one", "green", []Secret{good}, missing, nil},
		{"that one again without", "green", nil, missing, nil},
	} {
		_, err := s.Ensure(t.Context(), ref, c.policy, Access{c.namespace, c.secrets})
		if !errors.Is(err, c.want) || (c.want == nil && err != nil) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "tea") || strings.Contains(err.Error(), "coffee") || strings.Contains(err.Error(), "word")) {
			t.Errorf("%s: the message shows a password: %v", c.what, err)
		}
	}
	byDigest := reg.Host + "/private/app@" + img.Digest
	if _, err := s.Ensure(t.Context(), byDigest, missing, Access{"blue", nil}); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("another by digest: got %v, want %v", err, ErrUnauthorized)
	}
	reg.Stop()
	if _, err := s.Ensure(t.Context(), ref, missing, Access{"red", nil}); err != nil {
		t.Errorf("without the registry, who has shown it before: %v", err)
	}
	if _, err := s.Ensure(t.Context(), ref, missing, Access{"blue", []Secret{good}}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without the registry, who has not: got %v, want %v", err, ErrUnavailable)
	}
	if _, err := s.Ensure(t.Context(), ref, corev1.PullAlways, Access{"blue", nil}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without the registry, policy always, who has not: got %v, want %v", err, ErrUnavailable)
	}
	data, err := os.ReadFile(filepath.Join(dir, "store", "index.json"))
	if err != nil || bytes.Contains(data, []byte("tea")) {
		t.Errorf("index holds the password: %v", err)
	}
}

func TestEnsure_AnonymousServesAll(t *testing.T) {
	reg := registry.Start(t)
	ref := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "public:v")
	s := openStore(t, t.TempDir())
	if _, err := s.Ensure(t.Context(), ref, "", Access{Namespace: "a"}); err != nil {
		t.Fatal(err)
	}
	reg.Forget()
	if _, err := s.Ensure(t.Context(), ref, "", Access{Namespace: "b"}); err != nil || len(reg.Requests()) != 0 {
		t.Errorf("second namespace: %v, requests %q; want no question", err, reg.Requests())
	}
}

func TestGuard_PlainHTTPOnlyWhereItMay(t *testing.T) {
	const loopback, insecure, other = "127.0.0.1:5000", "lab.example:5000", "registry.example"
	client := &registryClient{insecure: map[string]bool{insecure: true}}
	for _, c := range []struct {
		url, registry string
		ok            bool
	}{
		{"http://127.0.0.1:5000/v2/", loopback, true},
		{"http://localhost/v2/", loopback, true},
		{"http://[::1]:5000/v2/", loopback, true},
		{"http://10.0.0.1:5000/v2/", loopback, false},
		{"http://10.0.0.1:5000/v2/", other, false},
		{"http://127.0.0.1:5000/v2/", other, false}, // a token address of some other registry
		{"http://registry.local/v2/", loopback, false},
		{"https://10.0.0.1/v2/", other, true},
		{"http://lab.example:5000/v2/", insecure, true},
		{"http://lab.example:5001/v2/", insecure, false},
		{"http://127.0.0.1:5000/v2/", insecure, false},
		{"http://lab.example:5000/v2/", other, false},
	} {
		asked := false
		g := &guard{plain: client.plain(c.registry), base: roundTrip(func(*http.Request) (*http.Response, error) {
			asked = true
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		})}
		req, err := http.NewRequest(http.MethodGet, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.RoundTrip(req); asked != c.ok || (err == nil) != c.ok {
			t.Errorf("%s from %s: asked %v, %v; want %v", c.url, c.registry, asked, err, c.ok)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNormalize(t *testing.T) {
	d := "sha256:" + strings.Repeat("a", 64)
	for in, want := range map[string]string{
		"nginx":                    "docker.io/library/nginx:latest",
		"nginx:1.25":               "docker.io/library/nginx:1.25",
		"team/app":                 "docker.io/team/app:latest",
		"index.docker.io/team/app": "docker.io/team/app:latest",
		"localhost/app:1":          "localhost/app:1",
		"localhost:5000/app:1":     "localhost:5000/app:1",
		"writ.example/shop:1.0":    "writ.example/shop:1.0",
		"nginx:1.25@" + d:          "docker.io/library/nginx@" + d,
		"":                         "",
		"a b":                      "",
		"Nginx":                    "",
		"nginx:":                   "",
		"nginx@sha512:" + strings.Repeat("a", 128): "",
	} {
		r, err := parseRef(in)
		if got := r.full; got != want || (want == "") != errors.Is(err, ErrInvalidName) {
			t.Errorf("%q: got %q, %v; want %q", in, r.full, err, want)
		}
	}
}

func TestCredentials_Match(t *testing.T) {
	for _, c := range []struct {
		entry, image string
		want         bool
	}{
		{"registry.example", "registry.example/app", true},
		{"https://registry.example", "registry.example/app", true},
		{"https://registry.example/v2/", "registry.example/app", true},
		{"registry.example", "registry.example:5000/app", false},
		{"registry.example:5000", "registry.example:5000/app", true},
		{"*.example", "registry.example/app", true},
		{"*.example", "a.registry.example/app", false},
		{"registry.example/team", "registry.example/team/app", true},
		{"registry.example/team", "registry.example/other/app", false},
		{"https://index.docker.io/v1/", "nginx", true},
		{"docker.io", "team/app", true},
		{"other.example", "registry.example/app", false},
	} {
		r, err := parseRef(c.image)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Access{Secrets: []Secret{{Data: images.DockerConfig(c.entry, "u", "p")}}}.credentials(r)
		if err != nil || (len(got) == 1) != c.want {
			t.Errorf("%s for %s: got %v, %v; want match %v", c.entry, c.image, got, err, c.want)
		}
	}
}

func TestCredentials_FormsAndOrder(t *testing.T) {
	r, err := parseRef("r.example/team/app")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Access{Secrets: []Secret{
		{Data: []byte(`{"r.example":{"auth":"dTpw"}}`)},                                  // .dockercfg, u:p
		{Data: []byte(`{"auths":{"r.example/team":{"username":"v","password":"q:r"}}}`)}, // closer
	}}.credentials(r)
	if err != nil || len(got) != 2 || got[0].config.Username != "v" || got[0].config.Password != "q:r" || got[1].config.Username != "u" || got[1].config.Password != "p" {
		t.Errorf("credentials are %v, %v; want v first, then u", got, err)
	}
	for _, bad := range []string{`{"auths":{"r.example":{"auth":"?"}}}`, `{"auths":{"r.example":{"auth":"dXA="}}}`, `[`, `"x"`} {
		if _, err := (Access{Secrets: []Secret{{Data: []byte(bad)}}}).credentials(r); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("%s: got %v, want %v", bad, err, ErrUnauthorized)
		}
	}
}
