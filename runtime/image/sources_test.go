package image

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/images"
	"writ/fixtures/registry"
)

func TestParseMirror(t *testing.T) {
	for _, c := range []struct{ in, image, want, wrong string }{
		{"docker.io=mirror.example", "nginx:1", "mirror.example/library/nginx:1", ""},
		{"docker.io=https://mirror.example:5000/hub/", "team/app", "mirror.example:5000/hub/team/app:latest", ""},
		{"index.docker.io=mirror.example", "nginx:1", "mirror.example/library/nginx:1", ""},
		{"*=127.0.0.1:5000", "quay.io/a/b:2", "127.0.0.1:5000/a/b:2", ""},
		{"r.example:8443=http://localhost:5000", "r.example:8443/a:1", "localhost:5000/a:1", ""},
		{"r.example=mirror.example", "r.example:8443/a:1", "", ""}, // another port, another registry
		{"mirror.example=mirror.example", "mirror.example/a:1", "", ""},
		{"docker.io", "", "", "want REGISTRY=ADDRESS"},
		{"=x", "", "", "want REGISTRY=ADDRESS"},
		{"docker.io=ftp://x", "", "", "want https://"},
		{"docker.io=http://mirror.example", "", "", "--registry-insecure"},
		{"docker.io=not a host", "", "", "not the address of a registry"},
		{"a/b/?=x", "", "", "is not a registry"},
	} {
		m, err := parseMirror(c.in)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: got %v, want %q", c.in, err, c.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		r, err := parseRef(c.image)
		if err != nil {
			t.Fatal(err)
		}
		all := (&registryClient{mirrors: []mirror{m}}).sources(r)
		got := ""
		if len(all) == 2 {
			got = all[0].full
		}
		if got != c.want || all[len(all)-1] != r {
			t.Errorf("%s for %s: got %+v, want %q and then itself", c.in, c.image, all, c.want)
		}
	}
}

func TestConfig_ValidateSaysEverything(t *testing.T) {
	cfg := Config{Mirrors: []string{"x", "docker.io=ftp://y"}, Insecure: []string{"a/b"}, CAFiles: []string{"/does/not/exist"}}
	err := cfg.Validate()
	for _, want := range []string{`mirror "x"`, "ftp://", `insecure registry "a/b"`, "/does/not/exist"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q among it", err, want)
		}
	}
	if err := (&Config{Mirrors: []string{"docker.io=m.example"}, Insecure: []string{"lab.example:5000"}}).Validate(); err != nil {
		t.Error(err)
	}
}

// mirrored is a store with a mirror of a registry, both real.
func mirrored(t *testing.T, prefix string) (s *Store, reg, mir *registry.Registry) {
	t.Helper()
	reg, mir = registry.Start(t), registry.Start(t)
	s = openWith(t, Config{Dir: t.TempDir(), Mirrors: []string{reg.Host + "=" + mir.Host + prefix}})
	impatient(s)
	return s, reg, mir
}

func TestPull_MirrorFirst(t *testing.T) {
	img := small(t, nil, map[string]string{"a": "1"})
	s, reg, mir := mirrored(t, "/cache")
	ref := push(t, reg, img, "team/app:v")
	push(t, mir, img, "cache/team/app:v")
	reg.Forget()
	got, err := s.Pull(t.Context(), ref, Access{})
	if err != nil || len(reg.Requests()) != 0 {
		t.Fatalf("pull: %v; the registry was asked %q", err, reg.Requests())
	}
	if want := reg.Host + "/team/app"; got.Repository != want || got.StatusID() != want+"@"+digest(t, img) {
		t.Errorf("it is called %s in %s, want the registry's own name", got.StatusID(), got.Repository)
	}
	if _, ok := s.Resolve(ref); !ok {
		t.Error("it is not found under its own name")
	}
}

func TestPull_MirrorFallsBack(t *testing.T) {
	img, other := small(t, nil, map[string]string{"a": "1"}), small(t, nil, map[string]string{"a": "2"})
	layer := layerDigest(t, img, 0)
	for _, c := range []struct {
		name  string
		setup func(mir *registry.Registry)
	}{
		{"it has nothing", func(*registry.Registry) {}},
		{"it is away", func(m *registry.Registry) { m.Stop() }},
		{"it wants a password", func(m *registry.Registry) { m.RequirePassword("u", "p") }},
		{"it is in trouble", func(m *registry.Registry) { m.Fail(503, nil) }},
		{"it lies about the digest", func(m *registry.Registry) {
			m.Alter(func(_ *http.Request, body []byte) []byte { return append(bytes.Clone(body), ' ') })
		}},
		{"it loses a layer", func(m *registry.Registry) {
			m.Fail(404, func(r *http.Request) bool { return strings.Contains(r.URL.Path, layer) })
		}},
		{"it never answers", func(m *registry.Registry) { m.Hold(func(*http.Request) bool { return true }) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, reg, mir := mirrored(t, "")
			s.patience.documents = 300 * time.Millisecond
			ref := push(t, reg, img, "app:v")
			if c.name != "it has nothing" {
				push(t, mir, img, "app:v")
			} else {
				push(t, mir, other, "other:v")
			}
			c.setup(mir)
			got, err := s.Pull(t.Context(), reg.Host+"/app@"+digest(t, img), Access{})
			if err != nil || content(t, s, got, 0, "a") != "1" {
				t.Errorf("pull: %v", err)
			}
			// Where neither has it, the registry's own answer decides, and the mirror's is told.
			_, err = s.Pull(t.Context(), strings.TrimSuffix(ref, "v")+"w", Access{})
			if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "mirror "+mir.Host) {
				t.Errorf("missing everywhere: got %v, want %v with what the mirror said", err, ErrNotFound)
			}
			mir.Release()
		})
	}
}

// A secret for a registry is not shown to its mirror.
func TestPull_MirrorSeesNoSecretOfTheRegistry(t *testing.T) {
	img := small(t, nil, map[string]string{"a": "1"})
	s, reg, mir := mirrored(t, "")
	reg.RequirePassword("ann", "tea")
	ref := push(t, reg, img, "app:v")
	var mu sync.Mutex
	var seen []string
	mir.Fail(404, func(r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Header.Get("Authorization"))
		return strings.Contains(r.URL.Path, "/manifests/")
	})
	if _, err := s.Pull(t.Context(), ref, Access{"red", []Secret{{Name: "s", Data: images.DockerConfig(reg.Host, "ann", "tea")}}}); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, a := range seen {
		if a != "" {
			t.Errorf("the mirror was shown %q", a)
		}
	}
	if len(seen) == 0 {
		t.Error("the mirror was not asked")
	}
}

// helperScript puts a credential helper down.
func helperScript(t *testing.T, dir, name, body string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestPull_NodeCredentials(t *testing.T) {
	img := small(t, nil, map[string]string{"a": "1"})
	const good = `cat > "$0.asked"; echo '{"Username":"ann","Secret":"tea"}'`
	for _, c := range []struct {
		name   string
		config string // HOST stands for the registry
		helper string
		want   string // in the error; empty: it works
		token  bool
	}{
		{name: "auths", config: `{"auths":{"HOST":{"username":"ann","password":"tea"}}}`},
		{name: "auths with a token server", config: `{"auths":{"http://HOST/v2/":{"auth":"YW5uOnRlYQ=="}}}`, token: true},
		{name: "helper of the registry", config: `{"credHelpers":{"HOST":"test"}}`, helper: good},
		{name: "store of all", config: `{"credsStore":"test","auths":{"HOST":{}}}`, helper: good},
		{name: "helper knows nothing, the file does", config: `{"credsStore":"test","auths":{"HOST":{"username":"ann","password":"tea"}}}`, helper: `echo "credentials not found in native keychain"; exit 1`},
		{name: "helper is broken, the file is not", config: `{"credsStore":"test","auths":{"HOST":{"username":"ann","password":"tea"}}}`, helper: "exit 3"},
		{name: "wrong password", config: `{"auths":{"HOST":{"username":"ann","password":"coffee"}}}`, want: "authentication required"},
		{name: "helper fails", config: `{"credHelpers":{"HOST":"test"}}`, helper: "echo s3cret; exit 3", want: "credential helper docker-credential-test: exit status 3"},
		{name: "helper never ends", config: `{"credHelpers":{"HOST":"test"}}`, helper: "sleep 1000 & sleep 1000", want: "no answer within"},
		{name: "helper floods", config: `{"credHelpers":{"HOST":"test"}}`, helper: "exec cat /dev/zero", want: "it printed more than 65536 bytes"},
		{name: "helper prints no JSON", config: `{"credHelpers":{"HOST":"test"}}`, helper: "echo s3cret", want: "is not JSON with Username and Secret"},
		{name: "helper is missing", config: `{"credHelpers":{"HOST":"other"}}`, want: "docker-credential-other"},
		{name: "helper is a path", config: `{"credHelpers":{"HOST":"../evil"}}`, want: "is not the name of a credential helper"},
		{name: "no configuration", config: `s3cret`, want: "no Docker configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := registry.Start(t)
			dir := t.TempDir()
			if c.token {
				reg.RequireToken("ann", "tea")
			} else {
				reg.RequirePassword("ann", "tea")
			}
			ref := push(t, reg, img, "app:v")
			file := filepath.Join(dir, "config.json")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(c.config, "HOST", reg.Host)), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.helper != "" {
				helperScript(t, dir, "test", c.helper)
			}
			s := openWith(t, Config{Dir: t.TempDir(), RegistryConfig: file, HelperDir: dir})
			s.registry.node.helpers.timeout = 2 * time.Second
			_, err := s.Ensure(t.Context(), ref, corev1.PullIfNotPresent, Access{Namespace: "red"})
			if c.want != "" {
				if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "coffee") {
					t.Errorf("got %v, want %v with %q and no secret", err, ErrUnauthorized, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if asked, err := os.ReadFile(filepath.Join(dir, "docker-credential-test.asked")); err == nil && strings.TrimSpace(string(asked)) != reg.Host {
				t.Errorf("the helper was asked about %q, want %s", asked, reg.Host)
			}
			// What the node's own keys open is open to every namespace.
			reg.Forget()
			if _, err := s.Ensure(t.Context(), ref, corev1.PullIfNotPresent, Access{Namespace: "blue"}); err != nil || len(reg.Requests()) != 0 {
				t.Errorf("another namespace: %v, %q", err, reg.Requests())
			}
		})
	}
}

func TestNodeKeys_ReadAgainWhenChanged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	k := &nodeKeys{file: file, log: slog.New(slog.DiscardHandler)}
	r, err := parseRef("r.example/app")
	if err != nil {
		t.Fatal(err)
	}
	user := func() string {
		t.Helper()
		creds, err := k.credentials(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if len(creds) == 0 {
			return ""
		}
		return creds[0].config.Username
	}
	if got := user(); got != "" {
		t.Errorf("without the file: %q", got)
	}
	for _, name := range []string{"ann", "longer-name"} {
		if err := os.WriteFile(file, []byte(`{"auths":{"r.example":{"username":"`+name+`","password":"x"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := user(); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := k.credentials(t.Context(), r); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a file that anybody may write: %v", err)
	}
}

func TestNodeKeys_DockersOwnRegistry(t *testing.T) {
	dir := t.TempDir()
	helperScript(t, dir, "test", `read server; echo "{\"Username\":\"<token>\",\"Secret\":\"$server\"}"`)
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, []byte(`{"credHelpers":{"https://index.docker.io/v1/":"test"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &nodeKeys{file: file, helpers: helpers{dir: dir, timeout: 10 * time.Second}, log: slog.New(slog.DiscardHandler)}
	r, err := parseRef("nginx")
	if err != nil {
		t.Fatal(err)
	}
	creds, err := k.credentials(t.Context(), r)
	if err != nil || len(creds) != 1 || creds[0].config.IdentityToken != dockerHub {
		t.Errorf("got %+v, %v; want a token for %s", creds, err, dockerHub)
	}
}

func TestPull_SeveralSecretsOneHidesBehindNotFound(t *testing.T) {
	reg := registry.Start(t)
	ref := push(t, reg, small(t, nil, map[string]string{"a": "1"}), "app:v")
	reg.Fail(404, func(r *http.Request) bool { u, _, _ := r.BasicAuth(); return u != "right" })
	wrong, right := Secret{Name: "w", Data: images.DockerConfig(reg.Host+"/app", "wrong", "x")}, Secret{Name: "r", Data: images.DockerConfig(reg.Host, "right", "x")}
	// Basic authentication is only sent where it is asked for.
	reg.RequireAny()
	if _, err := openStore(t, t.TempDir()).Pull(t.Context(), ref, Access{"red", []Secret{wrong, right}}); err != nil {
		t.Error(err)
	}
	if _, err := openStore(t, t.TempDir()).Pull(t.Context(), ref, Access{"red", []Secret{wrong}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("with the wrong one alone: got %v, want %v", err, ErrNotFound)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"": 0, "30": 30 * time.Second, "-5": 0, "999999999999": longestWait, "soon": 0,
		"Sat, 21 Nov 2026 12:01:00 GMT": time.Minute, "Sat, 21 Nov 2026 11:00:00 GMT": 0, "Sun, 22 Nov 2026 12:00:00 GMT": longestWait,
	} {
		if got := parseRetryAfter(in, now); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
	img := small(t, nil, map[string]string{"a": "1"})
	for _, c := range []struct {
		status int
		part   string
		want   time.Duration
	}{
		{429, "/manifests/", 77 * time.Second}, {503, "/manifests/", 77 * time.Second}, {429, layerDigest(t, img, 0), 77 * time.Second},
		{500, "/manifests/", 0}, {404, "/manifests/", 0}, {401, "/manifests/", 0},
	} {
		reg := registry.Start(t)
		ref := push(t, reg, img, "app:v")
		reg.FailWith(c.status, http.Header{"Retry-After": {"77"}}, func(r *http.Request) bool { return strings.Contains(r.URL.Path, c.part) })
		s := openStore(t, t.TempDir())
		_, err := s.Ensure(t.Context(), ref, corev1.PullIfNotPresent, Access{})
		if got := RetryAfter(err); err == nil || got != c.want {
			t.Errorf("status %d for %s: ask again after %v (%v), want %v", c.status, c.part, got, err, c.want)
		}
	}
}

func TestSlots_BoundEachSource(t *testing.T) {
	var s slots
	first, err := s.take(t.Context(), "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := s.take(t.Context(), "b", 1); err != nil { // another source does not wait
		t.Fatal(err)
	} else {
		other()
	}
	got := make(chan error, 1)
	go func() {
		free, err := s.take(t.Context(), "a", 1)
		if err == nil {
			free()
		}
		got <- err
	}()
	select {
	case <-got:
		t.Error("the second did not wait")
	default:
	}
	first()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
