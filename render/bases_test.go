package render_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"writ/fixtures/gitserver"
	"writ/manifest"
	"writ/render"
	"writ/render/fetch"
)

// elsewhere is a repository with a base, on a server of its own.
type elsewhere struct {
	*gitserver.Repo
	http *gitserver.HTTP
	host string
	url  string
	dir  string // of what is fetched
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	root := t.TempDir()
	e := &elsewhere{Repo: gitserver.NewRepoAt(t, filepath.Join(root, "org", "shop.git")), http: gitserver.ServeHTTP(t, root), dir: filepath.Join(t.TempDir(), "bases")}
	u, err := url.Parse(e.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	e.host, e.url = u.Host, e.http.URL+"/org/shop.git"
	return e
}

const baseService = "# a comment\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}], selector: {app: web}}\n"

// base makes a commit with a base whose map has a colour.
func (e *elsewhere) base(colour string) string {
	return e.Commit(map[string]string{
		"deploy/web/kustomization.yaml":    "resources: [service.yaml, ../common]\nconfigMapGenerator:\n- {name: settings, literals: [colour=" + colour + "]}\n",
		"deploy/web/service.yaml":          baseService,
		"deploy/common/kustomization.yaml": "resources: [account.yaml]\n",
		"deploy/common/account.yaml":       "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n",
		"parts/kustomization.yaml":         "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonAnnotations: {part: \"yes\"}\n",
	}, colour)
}

// load loads a tree on a node that allows hosts.
func (e *elsewhere) load(t *testing.T, prev *manifest.Set, text string, hosts ...string) (*manifest.Set, error) {
	t.Helper()
	files, err := txtar.FS(txtar.Parse([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bases, err := fetch.NewBases(fetch.BasesConfig{Config: fetch.Config{Dir: e.dir, Log: slog.New(slog.DiscardHandler)}, Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	r := render.New(t.Context(), render.Config{Program: self, Bases: bases})
	return manifest.Loader{Renderer: r}.Load(files, prev)
}

// texts are the objects of a set, one a line, with their places.
func texts(s *manifest.Set) string {
	var b strings.Builder
	for item := range s.All() {
		b.WriteString(item.Ref.String() + " " + item.Source.String() + "\n")
	}
	return b.String()
}

func (e *elsewhere) overlay(ref string) string {
	return "-- apps/web/kustomization.yaml --\nnamePrefix: prod-\nresources:\n- " + e.url + "//deploy/web?ref=" + ref + "\n"
}

// colourOf is what the map of the base says.
func colourOf(t *testing.T, s *manifest.Set) string {
	t.Helper()
	for item := range s.All() {
		if item.Ref.Kind != "ConfigMap" {
			continue
		}
		var m struct{ Data struct{ Colour string } }
		if err := json.Unmarshal(jsonOf(t, item.Object), &m); err != nil {
			t.Fatal(err)
		}
		return m.Data.Colour
	}
	t.Fatalf("no map in %s", texts(s))
	return ""
}

func jsonOf(t *testing.T, object any) []byte {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBases_Rendered(t *testing.T) {
	e := newElsewhere(t)
	e.Tag("v1.2", e.base("red"), "first")
	set, err := e.load(t, nil, e.overlay("v1.2")+"components:\n- "+e.url+"//parts?ref=v1.2\n", e.host)
	if err != nil {
		t.Fatal(err)
	}
	got, at := texts(set), e.host+"/org/shop@v1.2/deploy/"
	for _, want := range []string{
		"Service/default/prod-web " + at + "web/service.yaml:2\n",
		"ServiceAccount/default/prod-web " + at + "common/account.yaml:1\n",
		"ConfigMap/default/prod-settings-",
		" " + at + "web/kustomization.yaml:3\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	item, _ := set.Get(manifest.Ref{Kind: "Service", Namespace: "default", Name: "prod-web"})
	if text := string(jsonOf(t, item.Object)); !strings.Contains(text, `"part":"yes"`) || strings.Contains(text, "config.kubernetes.io/origin") {
		t.Errorf("the component did nothing, or an origin is left: %s", text)
	}
	err = filepath.WalkDir(e.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A base may use another one; where its resources were written is known also when only kustomize knows it.
func TestBases_OfABase(t *testing.T) {
	e := newElsewhere(t)
	e.Tag("v1", e.base("red"), "")
	e.Tag("v2", e.Commit(map[string]string{
		"chain/kustomization.yaml": "resources:\n- " + e.url + "//deploy/web?ref=v1\n",
	}, "chain"), "")
	text := strings.ReplaceAll(e.overlay("v2"), "deploy/web", "chain") + "transformers: [label.yaml]\n" +
		"-- apps/web/label.yaml --\napiVersion: builtin\nkind: LabelTransformer\nmetadata: {name: l}\nlabels: {team: web}\nfieldSpecs: [{path: metadata/labels, create: true}]\n"
	set, err := e.load(t, nil, text, e.host)
	if err != nil {
		t.Fatal(err)
	}
	item, found := set.Get(manifest.Ref{Kind: "Service", Namespace: "default", Name: "prod-web"})
	if want := e.host + "/org/shop@v1/deploy/web/service.yaml:2"; !found || item.Source.String() != want {
		t.Fatalf("the service comes from %s, want %s; all:\n%s", item.Source, want, texts(set))
	}
	if text := string(jsonOf(t, item.Object)); !strings.Contains(text, `"team":"web"`) {
		t.Errorf("the transformer did nothing: %s", text)
	}
}

// A tag means what it meant first; its commit needs no server, and neither does one that is named whole.
func TestBases_ATagIsFixed(t *testing.T) {
	for name, annotation := range map[string]string{"annotated": "first", "lightweight": ""} {
		t.Run(name, func(t *testing.T) {
			e := newElsewhere(t)
			first := e.base("red")
			e.Tag("v1", first, annotation)
			if set, err := e.load(t, nil, e.overlay("v1"), e.host); err != nil || colourOf(t, set) != "red" {
				t.Fatal(err)
			}
			second := e.base("green")
			e.Tag("v1", second, annotation)
			if set, err := e.load(t, nil, e.overlay(second), e.host); err != nil || colourOf(t, set) != "green" {
				t.Error(err)
			}
			e.http.Fail()
			for ref, want := range map[string]string{"v1": "red", first: "red", second: "green"} {
				if set, err := e.load(t, nil, e.overlay(ref), e.host); err != nil || colourOf(t, set) != want {
					t.Errorf("%s: %v, want it %s without the server", ref, err, want)
				}
			}
			// What was kept is lost or damaged: the same commit is fetched, not the one that the tag is now.
			archives, err := filepath.Glob(filepath.Join(e.dir, "*.zip"))
			if err != nil || len(archives) != 2 {
				t.Fatalf("%v, %v", archives, err)
			}
			for _, a := range archives {
				if err := os.WriteFile(a, []byte("PK"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			e.http.Serve()
			if set, err := e.load(t, nil, e.overlay("v1"), e.host); err != nil || colourOf(t, set) != "red" {
				t.Errorf("%v, want the first commit again", err)
			}
		})
	}
}

// A server that is away says nothing about a commit.
func TestBases_ServerAway(t *testing.T) {
	e := newElsewhere(t)
	e.Tag("v1", e.base("red"), "")
	e.http.Fail()
	_, err := e.load(t, nil, e.overlay("v1"), e.host)
	var mistakes manifest.Mistakes
	if err == nil || errors.As(err, &mistakes) || !strings.Contains(err.Error(), "fetch "+e.host+"/org/shop@v1: ") {
		t.Errorf("got %v", err)
	}
}

func TestBases_Refused(t *testing.T) {
	e := newElsewhere(t)
	files := map[string]string{
		"out/kustomization.yaml":     "resources:\n- ../../apps/web/secret.yaml\n",
		"out2/kustomization.yaml":    "transformers: [plugin.yaml]\nresources: [map.yaml]\n",
		"out2/plugin.yaml":           "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\ntarget: {kind: ConfigMap}\npath: ../../../../../../../../apps/web/patch.yaml\n",
		"out3/kustomization.yaml":    "transformers: [plugin.yaml]\nresources: [map.yaml]\n",
		"out3/plugin.yaml":           "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\ntarget: {kind: ConfigMap}\npath: /apps/web/patch.yaml\n",
		"out3/map.yaml":              "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
		"out2/map.yaml":              "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
		"abs/kustomization.yaml":     "configMapGenerator:\n- name: a\n  files: [/apps/web/secret.yaml]\n",
		"other/kustomization.yaml":   "resources:\n- https://other.example/org/repo//x?ref=v1\n",
		"broken/kustomization.yaml":  "resources: [a.yaml]\n",
		"broken/a.yaml":              "kind: Service\n  metadata: {}\n",
		"missing/kustomization.yaml": "resources:\n- nothing.yaml\n",
		"wrong/kustomization.yaml":   "resources: [a.yaml]\n",
		"wrong/a.yaml":               "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  ports:\n  - port: 0\n",
		"program/kustomization.yaml": "helmCharts:\n- name: x\n",
		"circle/kustomization.yaml":  "resources: [../circle2]\n",
		"circle2/kustomization.yaml": "resources: [../circle]\n",
		"deploy/kustomization.yaml":  "resources: [a.yaml]\n",
		"deploy/a.yaml":              "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
	}
	e.Tag("v1", e.Commit(files, "all"), "")
	at := e.host + "/org/shop@v1/"
	secret := "-- apps/web/secret.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata: {x: hidden}\n-- apps/web/patch.yaml --\n- {op: add, path: /data, value: {x: hidden}}\n"
	for _, test := range []struct{ name, entry, want string }{
		{"a branch", e.url + "//deploy?ref=main", "main is a branch"},
		{"no tag", e.url + "//deploy?ref=v9", "there is no tag v9"},
		{"a short hash", e.url + "//deploy?ref=" + e.Tip()[:10], "only a tag or the whole hash of a commit"},
		{"a hash of nothing", e.url + "//deploy?ref=" + strings.Repeat("1", 40), "the repository has no such commit"},
		{"no reference", e.url + "//deploy", "does not say which commit"},
		{"another host", "https://other.example/org/repo//x?ref=v1", "other.example is not among the hosts of --remote-bases"},
		{"ssh", "git@" + "other.example:org/repo?ref=v1", "fetched by https"},
		{"clear text", "http://git.example/org/repo//x?ref=v1", "http is for loopback addresses only"},
		{"no repository", strings.Replace(e.url, "shop", "nothing", 1) + "//x?ref=v1", "there is no such repository"},
		{"no folder", e.url + "//nowhere?ref=v1", at[:len(at)-1] + " has no folder nowhere"},
		{"a file", e.url + "//deploy/a.yaml?ref=v1", "has no folder deploy/a.yaml"},
		{"out of the base", e.url + "//out?ref=v1", at + "out/kustomization.yaml:2: ../../apps/web/secret.yaml leads out of " + at[:len(at)-1]},
		{"out of the base by a plugin", e.url + "//out2?ref=v1", "leads out of the repository"},
		{"an absolute path of a plugin", e.url + "//out3?ref=v1", "leads out of the repository"},
		{"an absolute path", e.url + "//abs?ref=v1", at + "abs/kustomization.yaml:3: /apps/web/secret.yaml is an absolute path"},
		{"a base of another host", e.url + "//other?ref=v1", at + "other/kustomization.yaml:2: https://other.example/org/repo//x?ref=v1: lies outside of the repository, and other.example is not"},
		{"a broken file", e.url + "//broken?ref=v1", at + "broken/a.yaml:2: mapping values are not allowed"},
		{"a missing file", e.url + "//missing?ref=v1", at + "missing/kustomization.yaml:2: nothing.yaml does not exist"},
		{"a wrong object", e.url + "//wrong?ref=v1", at + "wrong/a.yaml:1: Service/default/web: spec.ports[0].port: Invalid value: 0"},
		{"a program", e.url + "//program?ref=v1", at + "program/kustomization.yaml:1: helmCharts runs the helm program"},
		{"a circle", e.url + "//circle?ref=v1", "cycle detected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			set, err := e.load(t, nil, "-- kustomization.yaml --\nresources:\n- "+test.entry+"\n"+secret, e.host, "git.example")
			var mistakes manifest.Mistakes
			if !errors.As(err, &mistakes) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hidden") {
				t.Fatalf("got %v, %v\nwant %s", set, err, test.want)
			}
			place := mistakes[0].Source.String()
			if place != "kustomization.yaml:2" && !strings.HasPrefix(place, at) {
				t.Errorf("the place is %s", place)
			}
			t.Log(err)
		})
	}
	t.Run("not listed", func(t *testing.T) {
		before := e.http.Requests()
		_, err := e.load(t, nil, "-- kustomization.yaml --\nresources:\n- "+e.url+"//deploy?ref=v1\n")
		if err == nil || !strings.Contains(err.Error(), "kustomization.yaml:2: ") || !strings.Contains(err.Error(), "--remote-bases") || e.http.Requests() != before {
			t.Errorf("got %v after %d requests", err, e.http.Requests()-before)
		}
	})
	t.Run("in another field", func(t *testing.T) {
		_, err := e.load(t, nil, "-- kustomization.yaml --\ncrds:\n- "+e.url+"//deploy?ref=v1\n", e.host)
		if err == nil || !strings.Contains(err.Error(), "only resources and components may name a remote base") {
			t.Errorf("got %v", err)
		}
	})
}

// A repository cannot name what was fetched but by its address.
func TestBases_AreNoFilesOfTheRepository(t *testing.T) {
	e := newElsewhere(t)
	e.Tag("v1", e.base("red"), "")
	if _, err := e.load(t, nil, e.overlay("v1"), e.host); err != nil {
		t.Fatal(err)
	}
	_, err := e.load(t, nil, "-- kustomization.yaml --\nresources:\n- ../"+e.host+"/org/shop@v1/deploy/web\n", e.host)
	if err == nil || !strings.Contains(err.Error(), "leads out of the repository") {
		t.Errorf("got %v", err)
	}
}

// What a base says does not change, so a rendering is taken over while the repository is the same.
func TestBases_RenderedOnce(t *testing.T) {
	e := newElsewhere(t)
	e.Tag("v1", e.base("red"), "")
	set, err := e.load(t, nil, e.overlay("v1"), e.host)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(e.dir); err != nil {
		t.Fatal(err)
	}
	before := e.http.Requests()
	again, err := e.load(t, set, e.overlay("v1")+"-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", e.host)
	if err != nil || again.Len() != set.Len()+1 || e.http.Requests() != before {
		t.Errorf("%v, after %d requests", err, e.http.Requests()-before)
	}
}
