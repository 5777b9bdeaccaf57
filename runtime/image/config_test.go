package image

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"writ/fixtures/registry"
)

func openWith(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// An image is refused for what all its layers take together, however often it is
// tried and whatever of it is here already.
func TestPull_BoundOfTheWholeImage(t *testing.T) {
	reg := registry.Start(t)
	half := strings.Repeat("x", 6000)
	large := push(t, reg, small(t, nil, map[string]string{"a": half}, map[string]string{"b": half}), "large:v")
	fits := push(t, reg, small(t, nil, map[string]string{"a": half}, map[string]string{"b": "y"}), "fits:v")
	many := push(t, reg, small(t, nil, map[string]string{"a": "", "b": ""}, map[string]string{"c": "", "d": ""}), "many:v")
	cfg := Config{Dir: t.TempDir(), MaxBytes: 10_000, MaxFiles: 3}
	for range 2 {
		s := openWith(t, cfg) // the second knows nothing of the layers that are there
		for _, c := range []struct{ ref, want string }{
			{fits, ""}, {large, "more than 10000 bytes"}, {large, "more than 10000 bytes"}, {many, "more than 3 files"}, {many, "more than 3 files"}, {fits, ""},
		} {
			_, err := s.Pull(t.Context(), c.ref, Access{})
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("pull %s: got %v, want %q", c.ref, err, c.want)
			}
			if _, found := s.Resolve(c.ref); found != (c.want == "") {
				t.Errorf("%s is here: %v, want %v", c.ref, found, c.want == "")
			}
		}
	}
}

// What is kept of a configuration, in memory and in every index, is bounded.
func TestPull_HugeConfigurations(t *testing.T) {
	base := small(t, nil, map[string]string{"a": "1"})
	for name, c := range map[string]struct {
		config  v1.Config
		refused bool
	}{
		"labels":      {v1.Config{Labels: map[string]string{"l": strings.Repeat("x", 4<<20)}, User: "7"}, false},
		"environment": {v1.Config{Env: []string{"E=" + strings.Repeat("x", mostKept)}}, true},
	} {
		cf, err := base.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		cf = cf.DeepCopy()
		cf.Config = c.config
		img, err := mutate.ConfigFile(base, cf)
		if err != nil {
			t.Fatal(err)
		}
		reg := registry.Start(t)
		s := openStore(t, t.TempDir())
		got, err := s.Pull(t.Context(), push(t, reg, img, "app:v"), Access{})
		if c.refused != errors.Is(err, ErrCorrupt) || !c.refused && (err != nil || got.Config.User != "7") {
			t.Errorf("%s: user %q, %v; want it refused: %v", name, got.Config.User, err, c.refused)
		}
		if st, err := os.Stat(s.indexPath()); err == nil && st.Size() > 10_000 {
			t.Errorf("%s: the index has %d bytes", name, st.Size())
		}
		noTraces(t, s)
	}
}

func TestPull_RegistryWithItsOwnCertificate(t *testing.T) {
	srv := httptest.NewTLSServer(ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	ref := strings.TrimPrefix(srv.URL, "https://") + "/app:v"
	to, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(to, small(t, nil, map[string]string{"a": "1"}), remote.WithTransport(srv.Client().Transport)); err != nil {
		t.Fatal(err)
	}
	if img, err := openWith(t, Config{Dir: t.TempDir()}).Pull(t.Context(), ref, Access{}); err == nil {
		t.Errorf("pulled %s from a registry that nobody vouches for", img.ID)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openWith(t, Config{Dir: t.TempDir(), CAFiles: []string{ca}}).Pull(t.Context(), ref, Access{}); err != nil {
		t.Error(err)
	}
}

func TestOpen_RefusesCertificatesThatAreNone(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, filepath.Join(t.TempDir(), "missing.pem")} {
		if _, err := Open(Config{Dir: t.TempDir(), CAFiles: []string{file}}, quiet()); err == nil || !strings.Contains(err.Error(), filepath.Base(file)) {
			t.Errorf("open with %s: got %v, want an error that names it", file, err)
		}
	}
}
