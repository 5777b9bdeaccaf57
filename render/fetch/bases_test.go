package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"writ/fixtures/gitserver"
	"writ/render"
)

func bases(t *testing.T, c Config, hosts ...string) *Bases {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	b, err := NewBases(BasesConfig{Config: c, Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parsed(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Many ask at once for a base of a server that a given authority vouches for; it is fetched once, and
// what it holds is there as it was committed.
func TestBases_Fetch(t *testing.T) {
	root := t.TempDir()
	repo := gitserver.NewRepoAt(t, filepath.Join(root, "shop.git"))
	large := strings.Repeat("0123456789abcdef", 1<<16)
	files := map[string]string{"deploy/a.yaml": "a: 1\n", "empty": "", "large": large, "@deploy/link.yaml": "../../../etc/passwd"}
	repo.Commit(map[string]string{"deploy/a.yaml": "a: 0\n", "large": large + "."}, "before")
	repo.Tag("v1", repo.Commit(files, "now"), "annotated")
	server := gitserver.ServeTLS(t, root)
	base := render.Base{URL: parsed(t, server.URL+"/shop.git"), Ref: "v1"}
	b := bases(t, Config{Dir: filepath.Join(t.TempDir(), "bases"), CAFile: server.CAFile}, base.URL.Host)

	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			got, err := b.Fetch(t.Context(), base)
			if err != nil {
				t.Error(err)
				return
			}
			for name, want := range files {
				if name[0] == '@' {
					continue
				}
				if data, err := fs.ReadFile(got, name); err != nil || string(data) != want {
					t.Errorf("%s: %d bytes, %v", name, len(data), err)
				}
			}
			if info, err := fs.Stat(got, "deploy/link.yaml"); err != nil || info.Mode().Type() != fs.ModeSymlink {
				t.Errorf("the link is %v, %v", info, err)
			}
			entries, err := fs.ReadDir(got, ".")
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if err != nil || !slices.Equal(names, []string{"deploy", "empty", "large"}) {
				t.Errorf("the root holds %v, %v", names, err)
			}
		})
	}
	all.Wait()
	if n := server.Requests(); n != 2 {
		t.Errorf("%d requests, want the list and the pack", n)
	}
	_, err := bases(t, Config{Dir: t.TempDir()}, base.URL.Host).Fetch(t.Context(), base)
	if err == nil || errors.Is(err, render.ErrRefused) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the authority: %v", err)
	}
}

// A host that is listed leads nowhere else.
func TestBases_Redirect(t *testing.T) {
	root := t.TempDir()
	repo := gitserver.NewRepoAt(t, filepath.Join(root, "shop.git"))
	repo.Tag("v1", repo.Commit(map[string]string{"a.yaml": "a: 1\n"}, "a"), "")
	server := gitserver.ServeHTTP(t, root)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, server.URL+r.URL.String(), http.StatusFound)
	}))
	t.Cleanup(front.Close)
	at, behind := parsed(t, front.URL+"/shop.git"), parsed(t, server.URL).Host

	_, err := bases(t, Config{Dir: t.TempDir()}, at.Host).Fetch(t.Context(), render.Base{URL: at, Ref: "v1"})
	if !errors.Is(err, render.ErrRefused) || !strings.Contains(err.Error(), behind+" is not among the hosts of --remote-bases") || server.Requests() != 0 {
		t.Errorf("got %v after %d requests", err, server.Requests())
	}
	if _, err := bases(t, Config{Dir: t.TempDir()}, at.Host, behind).Fetch(t.Context(), render.Base{URL: at, Ref: "v1"}); err != nil {
		t.Errorf("both are listed: %v", err)
	}
}

func TestBases_Bounded(t *testing.T) {
	root := t.TempDir()
	repo := gitserver.NewRepoAt(t, filepath.Join(root, "shop.git"))
	repo.Tag("v1", repo.Commit(map[string]string{"a.yaml": strings.Repeat("a", 33<<20)}, "a bomb: a few kilobytes when it is sent"), "")
	server := gitserver.ServeHTTP(t, root)
	at := parsed(t, server.URL+"/shop.git")
	_, err := bases(t, Config{Dir: t.TempDir()}, at.Host).Fetch(t.Context(), render.Base{URL: at, Ref: "v1"})
	if !errors.Is(err, render.ErrRefused) || !strings.Contains(err.Error(), "an object of 34603008 bytes") {
		t.Errorf("got %v", err)
	}
}

// A dozen folders that each name the one before ten times lead to more than anybody can write down,
// with a file at the end or with nothing.
func TestBases_TreesOfTrees(t *testing.T) {
	root := t.TempDir()
	repo := gitserver.NewRepoAt(t, filepath.Join(root, "shop.git"))
	for tag, tree := range map[string]string{
		"nothing": repo.PutObject("tree", ""),
		"file":    repo.Tree("100644 blob " + repo.PutObject("blob", "a: 1\n") + "\ta.yaml"),
	} {
		for range 12 {
			var entries []string
			for i := range 10 {
				entries = append(entries, fmt.Sprintf("040000 tree %s\t%d", tree, i))
			}
			tree = repo.Tree(entries...)
		}
		repo.Tag(tag, repo.CommitTree(tree, "a bomb"), "")
	}
	server := gitserver.ServeHTTP(t, root)
	at := parsed(t, server.URL+"/shop.git")
	for _, tag := range []string{"nothing", "file"} {
		_, err := bases(t, Config{Dir: t.TempDir()}, at.Host).Fetch(t.Context(), render.Base{URL: at, Ref: tag})
		if !errors.Is(err, render.ErrRefused) || !strings.Contains(err.Error(), "more than 200000 files and folders") {
			t.Errorf("%s: %v", tag, err)
		}
	}
}

func TestBases_Offline(t *testing.T) {
	root, dir := t.TempDir(), filepath.Join(t.TempDir(), "bases")
	repo := gitserver.NewRepoAt(t, filepath.Join(root, "shop.git"))
	repo.Tag("v1", repo.Commit(map[string]string{"a.yaml": "a: 1\n"}, "a"), "")
	server := gitserver.ServeHTTP(t, root)
	base := render.Base{URL: parsed(t, server.URL+"/shop.git"), Ref: "v1"}
	offline := bases(t, Config{Dir: dir, Offline: "this flag fetches it"}, base.URL.Host)

	if _, err := offline.Fetch(t.Context(), base); !errors.Is(err, render.ErrRefused) || !strings.Contains(err.Error(), "this flag fetches it") || server.Requests() != 0 {
		t.Errorf("got %v after %d requests", err, server.Requests())
	}
	if _, err := bases(t, Config{Dir: dir}, base.URL.Host).Fetch(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	if _, err := offline.Fetch(t.Context(), base); err != nil {
		t.Errorf("it was fetched before: %v", err)
	}
}

func TestNewBases_Refuses(t *testing.T) {
	for _, host := range []string{"", "https://github.com", "github.com/org", "me@github.com", "git.example:x"} {
		if _, err := NewBases(BasesConfig{Config: Config{Log: slog.New(slog.DiscardHandler)}, Hosts: []string{host}}); err == nil {
			t.Errorf("%q is taken for a host", host)
		}
	}
}
