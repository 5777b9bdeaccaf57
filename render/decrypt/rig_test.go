package decrypt

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/secrets"
	"writ/manifest"
	"writ/render"
	"writ/render/child"
	"writ/render/sops"
)

// The test binary is each of the children too, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "render":
			os.Exit(child.Main(os.Args[1:]))
		case "decrypt":
			os.Exit(sops.Main(os.Args[1:]))
		}
	}
	os.Exit(m.Run())
}

const (
	secret = "correct-horse-battery"
	short  = "7x"
)

// rig is a node with keys.
type rig struct {
	t    *testing.T
	d    *Decrypter
	file string
	log  bytes.Buffer
	self string
}

func newRig(t *testing.T, keys string) *rig {
	t.Helper()
	r := &rig{t: t, file: filepath.Join(t.TempDir(), "keys.yaml")}
	r.write(keys)
	var err error
	if r.self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	if r.d, err = New(Config{Program: r.self, Keys: r.file, Log: slog.New(slog.NewTextHandler(&r.log, nil))}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.d.Close)
	return r
}

func (r *rig) write(keys string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte("keys:\n"+keys), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) load(tree fstest.MapFS, d manifest.Decrypter, prev *manifest.Set) (*manifest.Set, error) {
	renderer := render.New(r.t.Context(), render.Config{Program: r.self, Decrypter: d})
	return manifest.Loader{Renderer: renderer, Decrypter: d}.Load(tree, prev)
}

// refused loads a tree that has mistakes and returns them. Neither they nor the log tell a value.
func (r *rig) refused(tree fstest.MapFS) string {
	r.t.Helper()
	_, err := r.load(tree, r.d, nil)
	var mistakes manifest.Mistakes
	if !errors.As(err, &mistakes) {
		r.t.Fatalf("got %v, want mistakes", err)
	}
	r.silent(err.Error())
	return err.Error()
}

func (r *rig) silent(texts ...string) {
	r.t.Helper()
	for _, text := range append(texts, r.log.String()) {
		for _, value := range []string{secret, "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", strconv.Quote(short)} {
			if strings.Contains(text, value) {
				r.t.Errorf("a value is told: %s", text)
			}
		}
	}
}

func tree(files map[string]string) fstest.MapFS {
	made := fstest.MapFS{}
	for name, text := range files {
		made[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return made
}

func yaml(t *testing.T, text, regex string, key secrets.Locker) string {
	return string(secrets.Encrypt(t, secrets.File{Format: "yaml", Text: text, Regex: regex, Keys: []secrets.Locker{key}}))
}

const (
	onlyData  = "^(data|stringData)$"
	namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
	db        = "apiVersion: v1\nkind: Secret\nmetadata:\n    name: db\n    namespace: shop\nstringData:\n    password: " + secret + "\n"
)

func (r *rig) secretOf(set *manifest.Set, name string) map[string]string {
	r.t.Helper()
	values := map[string]string{}
	for item := range set.All() {
		if s, ok := item.Object.(*corev1.Secret); ok && strings.HasPrefix(s.Name, name) {
			for k, v := range s.Data {
				values[k] = string(v)
			}
		}
	}
	if len(values) == 0 {
		r.t.Fatalf("no Secret %s", name)
	}
	return values
}
