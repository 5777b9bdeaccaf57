package render

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"writ/manifest"
	"writ/render/wire"
)

func TestParseBase(t *testing.T) {
	for _, test := range []struct{ text, url, name, folder, refused string }{
		{text: "https://git.example/org/repo//deploy/web?ref=v1.2", url: "https://git.example/org/repo", name: "git.example/org/repo@v1.2", folder: "deploy/web"},
		{text: "github.com/org/repo//deploy?ref=v1", url: "https://github.com/org/repo", name: "github.com/org/repo@v1", folder: "deploy"},
		{text: "github.com/org/repo/deploy/web?ref=v1", url: "https://github.com/org/repo", name: "github.com/org/repo@v1", folder: "deploy/web"},
		{text: "GitHub.com/org/repo?version=v1&timeout=90s", url: "https://github.com/org/repo", name: "github.com/org/repo@v1", folder: "."},
		{text: "git::https://git.example:8443/a/b/repo.git/web/?ref=v1", url: "https://git.example:8443/a/b/repo.git", name: "git.example:8443/a/b/repo@v1", folder: "web"},
		{text: "http://127.0.0.1:80/org/repo?ref=kustomize/v5@x", url: "http://127.0.0.1:80/org/repo", name: "127.0.0.1:80/org/repo@kustomize%2Fv5%40x", folder: "."},
		{text: "https://git.example/or@g/repo//x?ref=v1", url: "https://git.example/or@g/repo", name: "git.example/or%40g/repo@v1", folder: "x"},
		{text: "https://git.example/../../repo//x?ref=v1", url: "https://git.example/repo", name: "git.example/repo@v1", folder: "x"},
		{text: "git@github.com:org/repo.git?ref=v1", refused: "fetched by https"},
		{text: "ssh://git@git.example/org/repo//x?ref=v1", refused: "fetched by https"},
		{text: "https://../org/repo//x?ref=v1", refused: "is no address of a remote base"},
		{text: "file:///srv/repo?ref=v1", refused: "is no address of a remote base"},
		{text: "https://me:secret@git.example/org/repo?ref=v1", refused: "without a login"},
		{text: "https://git.example/org/repo//x", refused: "does not say which commit"},
		{text: "https://git.example/org/repo//x?ref=", refused: "does not say which commit"},
		{text: "https://git.example/org/repo//x?ref=v1&submodules=true", refused: "submodules has no meaning here"},
		{text: "https://git.example/repo?ref=v1", refused: "write // between them"},
		{text: "https://git.example/org/repo//../x?ref=v1", refused: "leads out of the repository"},
	} {
		b, folder, err := parseBase(test.text)
		switch {
		case test.refused != "":
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), test.refused) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v, want it refused: %s", test.text, err, test.refused)
			}
		case err != nil:
			t.Errorf("%s: %v", test.text, err)
		case b.URL.String() != test.url || b.String() != test.name || folder != test.folder:
			t.Errorf("%s: %s, %s in folder %s; want %s, %s in folder %s", test.text, b.URL, b, folder, test.url, test.name, test.folder)
		}
	}
}

// Whatever is asked for, the folder of a base lies below its root, which is told from everything else.
func FuzzParseBase(f *testing.F) {
	for _, text := range []string{"https://git.example/org/repo//deploy/web?ref=v1.2", "github.com/org/repo.git/x?ref=a/b@c", "git@x:y", "http://[::1]:80/a@b//c/../d?ref=.."} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, folder, err := parseBase(text)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		root := "/" + b.String()
		if at := path.Join(root, folder); wire.BaseRoot(at) != root || !fs.ValidPath(folder) || fs.ValidPath(at) {
			t.Errorf("%q is at %q, in the base %q", text, at, wire.BaseRoot(at))
		}
		if b.URL.User != nil || b.Ref == "" || b.URL.Scheme != "https" && b.URL.Scheme != "http" {
			t.Errorf("%q: %s %s", text, b.URL, b.Ref)
		}
	})
}

// heavy are bases of a given size.
type heavy int64

func (h heavy) Fetch(context.Context, Base) (BaseFiles, error) {
	return sized{fstest.MapFS{"a.yaml": {}}, int64(h)}, nil
}

type sized struct {
	fs.FS
	size int64
}

func (s sized) Size() int64 { return s.size }

// TestBases_BoundedTogether: each base may be as large as it is, and all of one unit not. One that is used again
// takes nothing more.
func TestBases_BoundedTogether(t *testing.T) {
	w := &worker{config: Config{Bases: heavy(maxBaseBytes / 2)}, files: newServer(fstest.MapFS{}, nil)}
	ask := func(name string) string {
		return w.base(t.Context(), wire.Ask{Op: wire.Base, Path: "https://git.example/org/" + name + "?ref=v1"}).Refused
	}
	w.files.begin(manifest.Unit{})
	for _, name := range []string{"a", "b", "a", "b"} {
		if refused := ask(name); refused != "" {
			t.Errorf("%s: %s", name, refused)
		}
	}
	if refused := ask("c"); !strings.Contains(refused, "larger than 256 MiB together") {
		t.Errorf("the third one: %q", refused)
	}
	w.files.begin(manifest.Unit{})
	if refused := ask("c"); refused != "" {
		t.Errorf("of another unit: %s", refused)
	}
}
