package fetch

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	ociremote "github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"writ/fixtures/charts"
	"writ/fixtures/registry"
	"writ/manifest"
	"writ/render"
)

// server is a chart repository over https.
type server struct {
	*httptest.Server
	caFile string

	mu       sync.Mutex
	files    map[string][]byte
	status   int
	requests int
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{files: make(map[string][]byte), caFile: filepath.Join(t.TempDir(), "ca.pem")}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(s.caFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	data, found := s.files[r.URL.Path]
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
	case !found:
		http.NotFound(w, r)
	default:
		_, _ = w.Write(data)
	}
}

// offer puts versions of the chart web into the repository.
func (s *server) offer(versions map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files["/stable/index.yaml"] = charts.Index("web", versions)
	for version, archive := range versions {
		s.files["/stable/files/web-"+version+".tgz"] = archive
	}
}

func (s *server) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *server) chart() manifest.Chart {
	return manifest.Chart{Name: "web", Repository: s.URL + "/stable", Chart: "web", Version: "1.2.3"}
}

func store(t *testing.T, c Config) *Store {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func web(t *testing.T, text string) []byte {
	return charts.Pack(t, "web", "-- Chart.yaml --\nname: web\nversion: 1.2.3\ndescription: "+text)
}

func TestFetch_FromIndexOnce(t *testing.T) {
	s := serve(t)
	archive := web(t, "first")
	s.offer(map[string][]byte{"1.2.3": archive, "1.2.4": web(t, "another")})
	dir := filepath.Join(t.TempDir(), "charts")
	got, digest, err := store(t, Config{Dir: dir, CAFile: s.caFile}).Fetch(t.Context(), s.chart())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, archive) || digest != charts.Digest(archive) {
		t.Errorf("got %d bytes, %s; want %d bytes, %s", len(got), digest, len(archive), charts.Digest(archive))
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("the folder holds %v (%v), want the archive and a record", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v (%v), want 0600", f.Name(), info.Mode(), err)
		}
	}
	s.Close()
	for _, offline := range []string{"", "fetch it"} { // the server is away, the daemon was started again
		got, _, err = store(t, Config{Dir: dir, Offline: offline}).Fetch(t.Context(), s.chart())
		if err != nil || !bytes.Equal(got, archive) {
			t.Errorf("with the server away: %d bytes, %v", len(got), err)
		}
	}
	other := s.chart()
	other.Version = "1.2.4"
	if _, _, err = store(t, Config{Dir: dir, CAFile: s.caFile}).Fetch(t.Context(), other); err == nil || errors.Is(err, render.ErrRefused) {
		t.Errorf("a version that was never fetched, with the server away: %v, want an error that may go away", err)
	}
	if _, _, err = store(t, Config{Dir: dir, Offline: "fetch it"}).Fetch(t.Context(), other); !errors.Is(err, render.ErrRefused) {
		t.Errorf("a version that was never fetched, offline: %v, want a refusal", err)
	}
}

func TestFetch_AVersionMeansOneContent(t *testing.T) {
	s := serve(t)
	first, second := web(t, "first"), web(t, "second")
	s.offer(map[string][]byte{"1.2.3": first})
	dir := t.TempDir()
	fetch := func(digest string) ([]byte, error) {
		c := s.chart()
		c.Digest = digest
		data, _, err := store(t, Config{Dir: dir, CAFile: s.caFile}).Fetch(t.Context(), c)
		return data, err
	}
	if _, err := fetch(charts.Digest(second)); !errors.Is(err, render.ErrRefused) || !strings.Contains(err.Error(), "writ.yaml says "+charts.Digest(second)) {
		t.Errorf("another digest than writ.yaml says: %v", err)
	}
	if _, err := fetch(""); err != nil {
		t.Fatal(err)
	}
	s.offer(map[string][]byte{"1.2.3": second})
	if data, err := fetch(""); err != nil || !bytes.Equal(data, first) {
		t.Errorf("the kept version is not used: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(charts.Digest(first), ":", "-")+".tgz"), first[:20], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(""); !errors.Is(err, render.ErrRefused) || !strings.Contains(err.Error(), "a version must not change") {
		t.Errorf("the version has changed and the kept one is broken: %v", err)
	}
	if data, err := fetch(charts.Digest(second)); err != nil || !bytes.Equal(data, second) {
		t.Errorf("writ.yaml names the new digest: %v", err)
	}
	s.offer(map[string][]byte{"1.2.3": first})
	if data, err := fetch(charts.Digest(first)); err != nil || !bytes.Equal(data, first) {
		t.Errorf("a broken kept one is not fetched again: %v", err)
	}
}

func TestFetch_Refusals(t *testing.T) {
	s := serve(t)
	archive := web(t, "first")
	chart := func(change func(*manifest.Chart)) manifest.Chart {
		c := s.chart()
		change(&c)
		return c
	}
	for _, test := range []struct {
		name    string
		prepare func()
		chart   manifest.Chart
		want    string
		refused bool
	}{
		{"unknown chart", func() {}, chart(func(c *manifest.Chart) { c.Chart = "we" }), `index.yaml has no chart "we"`, true},
		{"unknown version", func() {}, chart(func(c *manifest.Chart) { c.Version = "9.9.9" }), "index.yaml has no version 9.9.9, only 1.2.3", true},
		{"no such repository", func() {}, chart(func(c *manifest.Chart) { c.Repository += "/else" }), "404 Not Found", true},
		{"in clear text", func() {}, chart(func(c *manifest.Chart) { c.Repository = "http://charts.example" }), "http is for loopback addresses only", true},
		{"a file", func() {}, chart(func(c *manifest.Chart) { c.Repository = "file:///etc" }), "is not an https address", true},
		{"password", func() { s.answer(http.StatusUnauthorized) }, s.chart(), "charts are fetched without a password", true},
		{"server in trouble", func() { s.answer(http.StatusServiceUnavailable) }, s.chart(), "503", false},
		{"archive is not the listed one", func() { s.files["/stable/files/web-1.2.3.tgz"] = archive[1:] }, s.chart(), "index.yaml says that it has the digest", true},
		{"archive is too large", func() { s.files["/stable/files/web-1.2.3.tgz"] = make([]byte, maxArchive+1) }, s.chart(), "is larger than 20 MiB", true},
		{"archive elsewhere, in clear text", func() {
			s.files["/stable/index.yaml"] = []byte("entries: {web: [{version: 1.2.3, urls: [\"http://charts.example/web.tgz\"]}]}")
		}, s.chart(), "http is for loopback addresses only", true},
		{"index that is none", func() { s.files["/stable/index.yaml"] = []byte("<html>") }, s.chart(), "index.yaml: ", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.answer(0)
			s.offer(map[string][]byte{"1.2.3": archive})
			test.prepare()
			dir := t.TempDir()
			_, _, err := store(t, Config{Dir: dir, CAFile: s.caFile}).Fetch(t.Context(), test.chart)
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, render.ErrRefused) != test.refused {
				t.Errorf("got %v (refused: %t), want %s (refused: %t)", err, errors.Is(err, render.ErrRefused), test.want, test.refused)
			}
			if files, _ := os.ReadDir(dir); len(files) != 0 {
				t.Errorf("left behind: %v", files)
			}
		})
	}
}

// A server elsewhere must not send the daemon to what listens on this machine only.
func TestFetch_Redirects(t *testing.T) {
	request := func(url string) *http.Request {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := redirect(request("https://127.0.0.1:6443/"), []*http.Request{request("https://charts.example/")}); !errors.Is(err, render.ErrRefused) {
		t.Errorf("from elsewhere to loopback: %v", err)
	}
	if err := redirect(request("https://cdn.example/"), []*http.Request{request("https://charts.example/")}); err != nil {
		t.Errorf("to another server: %v", err)
	}
}

// elsewhere answers for every server with an index that names one address.
type elsewhere struct {
	address string
	asked   []string
}

func (e *elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	e.asked = append(e.asked, r.URL.String())
	answer := httptest.NewRecorder()
	fmt.Fprintf(answer, "entries: {web: [{version: 1.2.3, urls: [%q]}]}", e.address)
	return answer.Result(), nil
}

// The index of a server elsewhere must not do so either.
func TestFetch_IndexNamesThisMachine(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1:2379/v2/keys", "https://localhost:6443/", "http://[::1]:80/"} {
		servers := &elsewhere{address: address}
		chart := manifest.Chart{Name: "web", Repository: "https://charts.example/stable", Chart: "web", Version: "1.2.3"}
		_, err := remote{&http.Client{Transport: servers}}.get(t.Context(), chart)
		if !errors.Is(err, render.ErrRefused) || !strings.Contains(err.Error(), "an address of this machine") {
			t.Errorf("%s: %v", address, err)
		}
		if want := []string{"https://charts.example/stable/index.yaml"}; !slices.Equal(servers.asked, want) {
			t.Errorf("%s: asked for %v", address, servers.asked)
		}
	}
}

func TestFetch_FromRegistry(t *testing.T) {
	r := registry.Start(t)
	archive := web(t, "first")
	push := func(tag string, data []byte, layer string) {
		t.Helper()
		image, err := mutate.AppendLayers(empty.Image, static.NewLayer(data, chartLayer))
		if layer != "" {
			image, err = mutate.AppendLayers(empty.Image, static.NewLayer(data, "application/vnd.oci.image.layer.v1.tar+gzip"))
		}
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(fmt.Sprintf("%s/charts/web:%s", r.Host, tag))
		if err != nil {
			t.Fatal(err)
		}
		if err := ociremote.Write(ref, image); err != nil {
			t.Fatal(err)
		}
	}
	push("1.2.3_build", archive, "")
	push("2.0.0", archive, "image")
	dir := t.TempDir()
	chart := manifest.Chart{Name: "web", Repository: "oci://" + r.Host + "/charts/web", Version: "1.2.3+build"}
	got, digest, err := store(t, Config{Dir: dir}).Fetch(t.Context(), chart)
	if err != nil || !bytes.Equal(got, archive) || digest != charts.Digest(archive) {
		t.Fatalf("got %d bytes, %s, %v", len(got), digest, err)
	}
	for version, want := range map[string]string{"2.0.0": "it is no chart", "3.0.0": "MANIFEST_UNKNOWN"} {
		c := chart
		c.Version = version
		if _, _, err := store(t, Config{Dir: dir}).Fetch(t.Context(), c); !errors.Is(err, render.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("version %s: %v, want %s", version, err, want)
		}
	}
	c := chart
	c.Repository = "oci://registry.example/charts/web"
	if _, _, err := store(t, Config{Dir: dir, Offline: "fetch it"}).Fetch(t.Context(), c); !errors.Is(err, render.ErrRefused) {
		t.Errorf("offline: %v", err)
	}
	r.Stop()
	if got, _, err = store(t, Config{Dir: dir}).Fetch(t.Context(), chart); err != nil || !bytes.Equal(got, archive) {
		t.Errorf("with the registry away: %v", err)
	}
	c = chart
	c.Version = "1.2.4"
	if _, _, err = store(t, Config{Dir: dir}).Fetch(t.Context(), c); err == nil || errors.Is(err, render.ErrRefused) {
		t.Errorf("never fetched, with the registry away: %v, want an error that may go away", err)
	}
}

// Of an index of many megabytes only the chart's own part is parsed.
func TestFind_LargeIndex(t *testing.T) {
	var index bytes.Buffer
	index.WriteString("apiVersion: v1\nentries:\n")
	for _, name := range []string{"alpha", "web", "web-extra"} {
		fmt.Fprintf(&index, "  %s:\n", name)
		for i := range 20_000 {
			fmt.Fprintf(&index, "  - name: %s\n    description: |\n      - version: 1.0.0\n      of %s\n    urls:\n    - https://charts.example/%s-%d.tgz\n    version: 1.0.%d\n", name, name, name, i, i)
		}
	}
	e, err := find(index.Bytes(), "web", "v1.0.19999")
	if err != nil || len(e.URLs) != 1 || e.URLs[0] != "https://charts.example/web-19999.tgz" {
		t.Errorf("got %+v, %v", e, err)
	}
	if _, err := find(index.Bytes(), "web", "1.0.20000"); !errors.Is(err, render.ErrRefused) {
		t.Errorf("no such version: %v", err)
	}
}
