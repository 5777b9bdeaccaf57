package sync_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"writ/fixtures/gitserver"
	gitsync "writ/sync"
)

// Links are followed inside of the repository, also out of the followed folder and through others.
func TestLinks_Followed(t *testing.T) {
	everywhere(t, func(t *testing.T, repo *gitserver.Repo, url string) {
		repo.Commit(map[string]string{
			"v2/app.yaml": "two", "@v2/shared": "../shared/.", "shared/s.yaml": "s",
			"@current": "v2", "@prod/templates": "../current/", "@prod/app.yaml": "templates/app.yaml",
			"@prod/eu/up.yaml": "../../shared//s.yaml", "@prod/eu/app": "../templates/shared/../v2/app.yaml",
		}, "first")
		m := open(t, gitsync.Config{URL: url, Path: "prod"})
		sync(t, m)
		c := next(t, m)
		for name, want := range map[string]string{
			"templates/app.yaml": "two", "templates/shared/s.yaml": "s", "app.yaml": "two", "eu/up.yaml": "s", "eu/app": "two",
		} {
			if got, err := fs.ReadFile(c.FS, name); err != nil || string(got) != want {
				t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
			}
			if i, err := fs.Stat(c.FS, name); err != nil || !i.Mode().IsRegular() || !strings.HasSuffix(name, i.Name()) || i.Size() != int64(len(want)) {
				t.Errorf("%s is %v, %v", name, i, err)
			}
		}
		list, err := fs.ReadDir(c.FS, "templates")
		if err != nil || len(list) != 2 || list[0].Name() != "app.yaml" || list[1].Type() != fs.ModeSymlink {
			t.Errorf("the linked folder lists %v, %v", list, err)
		}
		if i, err := fs.Lstat(c.FS, "templates"); err != nil || i.Mode().Type() != fs.ModeSymlink || i.Sys() != nil {
			t.Errorf("the link itself is %v, %v", i, err)
		}
		if i, err := fs.Stat(c.FS, "templates"); err != nil || !i.IsDir() || i.Name() != "templates" {
			t.Errorf("behind the link is %v, %v", i, err)
		}
	})
}

// Links that cannot be followed say why, and are never taken for absent files.
func TestLinks_Refused(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	files := map[string]string{
		"a/x.yaml": "1", "@a/self": "self", "@a/round": "../a", "@a/here": ".", "@a/up": "..", "a/@empty/e": "",
		"@a/abs": "/a/x.yaml", "@a/out": "../../a/x.yaml", "@a/gone": "x.yml", "@a/under": "x.yaml/y", "@a/gonetoo": "gone",
		"@a/ping": "pong", "@a/pong": "ping", "@a/long": strings.Repeat("./", 3000) + "x.yaml", "@a/there": "../b", "@b/back": "../a",
		"@a/escape": "x.yaml\x1b[31m",
	}
	delete(files, "a/@empty/e")
	for i := range 50 { // h0 -> h1 -> ... -> h49 -> x.yaml
		files[fmt.Sprintf("@a/h%d", i)] = fmt.Sprintf("h%d", i+1)
	}
	files["@a/h50"] = "x.yaml"
	repo.Commit(files, "first")
	c := latest(t, repo)
	for name, says := range map[string]string{
		"a/self": "symbolic link a/self -> self loops", "a/round": "a/round -> ../a loops: it leads to a folder above", "a/here": "loops", "a/up": "loops",
		"a/up/a/x.yaml": "loops", "a/abs": "a/abs -> /a/x.yaml leaves the repository", "a/out": "leaves the repository",
		"a/gone": "a/gone -> x.yml leads nowhere", "a/under": "leads nowhere", "a/gonetoo": "a/gone -> x.yml leads nowhere",
		"a/ping": "loops", "a/long": "is 6006 bytes long", "a/there/back": "b/back -> ../a loops", "a/there/back/x.yaml": "loops",
		"a/h0": "loops", "a/escape": "x.yaml [31m leads nowhere",
	} {
		_, err := fs.ReadFile(c.FS, name)
		var link *gitsync.LinkError
		if !errors.As(err, &link) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error with %q", name, err, says)
		}
		if _, err := fs.Stat(c.FS, name); err == nil {
			t.Errorf("%s can be looked at", name)
		}
		if _, err := fs.ReadDir(c.FS, name); err == nil {
			t.Errorf("%s can be listed", name)
		}
	}
	if got, err := fs.ReadFile(c.FS, "a/h11"); err != nil || string(got) != "1" {
		t.Errorf("through 40 links: %q, %v", got, err)
	}
	if _, err := fs.ReadFile(c.FS, "a/missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is absent: %v", err)
	}
}

// What a link leads to is part of the identity of the folder that holds the link, else a reader that
// skips what did not change would never see it change.
func TestLinks_Identity(t *testing.T) {
	repo := gitserver.NewRepo(t, "config")
	m := open(t, gitsync.Config{URL: repo.Dir, Path: "prod"})
	seen := map[string]string{}
	step := func(what string, files map[string]string, same bool) {
		t.Helper()
		repo.Commit(files, what)
		sync(t, m)
		c := next(t, m)
		old, ok := seen["Tree"]
		if ok && (old == c.Tree) != same {
			t.Errorf("%s: Tree %s after %s, want the same: %t", what, c.Tree, old, same)
		}
		seen["Tree"] = c.Tree
		if got := contentID(t, c, "."); got != c.Tree || len(got) != 40 {
			t.Errorf("%s: content of the folder is %s, Tree %s", what, got, c.Tree)
		}
		if got, want := contentID(t, c, "plain"), repo.Git("rev-parse", "main:prod/plain"); got != want {
			t.Errorf("%s: content of a folder without links is %s, want git's %s", what, got, want)
		}
	}
	step("first", map[string]string{"prod/plain/a": "1", "@prod/deep/er/v": "../../../v2", "v2/a": "1", "@v2/s": "../shared", "shared/x/a": "1", "docs/a": "1"}, false)
	step("elsewhere", map[string]string{"docs/a": "2"}, true)
	step("behind the link", map[string]string{"v2/a": "2"}, false)
	step("behind two links", map[string]string{"shared/x/a": "2"}, false)
	step("a loop behind the link", map[string]string{"@shared/round": "../v2"}, false)
	step("elsewhere again", map[string]string{"docs/a": "3"}, true)
	step("a link to nowhere", map[string]string{"@prod/later": "../soon.yaml"}, false)
	step("now it leads somewhere", map[string]string{"soon.yaml": "1"}, false)
	step("what it leads to changes", map[string]string{"soon.yaml": "2"}, false)
	many := map[string]string{}
	for i := range 10_001 {
		many[fmt.Sprintf("@v2/many/%d", i)] = "../a"
	}
	step("too many links", many, false)
	step("elsewhere, with too many links", map[string]string{"docs/a": "4"}, false)
}
