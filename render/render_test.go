package render

import (
	"encoding/json"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"writ/manifest"
	"writ/render/child"
)

// The test binary is the rendering child too, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "render" {
		os.Exit(child.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// tree makes a file system of "-- name --" sections.
func tree(t testing.TB, text string) fs.FS {
	t.Helper()
	files, err := txtar.FS(txtar.Parse([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func renderer(t testing.TB) *Renderer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return New(t.Context(), Config{Program: self})
}

func load(t testing.TB, text, folder string) (*manifest.Set, error) {
	t.Helper()
	return manifest.Loader{Folder: folder, Renderer: renderer(t)}.Load(tree(t, text), nil)
}

// refs are the objects of a set.
func refs(s *manifest.Set) []string {
	var all []string
	for item := range s.All() {
		all = append(all, item.Ref.String())
	}
	return all
}

const overlays = `
-- apps/base/kustomization.yaml --
resources: [web.yaml]
configMapGenerator:
- name: settings
  literals: [color=blue]
-- apps/base/web.yaml --
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}], selector: {app: web}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: example.com/web:1
        envFrom: [{configMapRef: {name: settings}}]
-- apps/production/kustomization.yaml --
namePrefix: prod-
resources: [../base]
components: [../monitored]
images: [{name: example.com/web, newTag: "2"}]
patches:
- path: replicas.yaml
  target: {kind: Deployment}
-- apps/production/replicas.yaml --
- {op: replace, path: /spec/replicas, value: 3}
-- apps/monitored/kustomization.yaml --
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
commonAnnotations: {prometheus.io/scrape: "true"}
`

func TestRender_Overlay(t *testing.T) {
	set, err := load(t, overlays, "")
	if err != nil {
		t.Fatal(err)
	}
	got := refs(set)
	if len(got) != 3 || !slices.Contains(got, "Deployment/default/prod-web") || !slices.Contains(got, "Service/default/prod-web") || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "ConfigMap/default/prod-settings-") }) {
		t.Fatalf("got %v", got)
	}
	item, _ := set.Get(manifest.Ref{Group: "apps", Kind: "Deployment", Namespace: "default", Name: "prod-web"})
	text, err := json.Marshal(item.Object)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"replicas":3`, `example.com/web:2`, `prometheus.io/scrape`, `"name":"prod-settings-`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(string(text), "config.kubernetes.io/origin") {
		t.Error("the annotation that tells the origin is left in the object")
	}
	if want := (manifest.Source{Path: "apps/base/web.yaml", Line: 6}); item.Source != want {
		t.Errorf("comes from %v, want %v", item.Source, want)
	}
}

func TestRender_FollowedFolderUsesBasesOutsideOfIt(t *testing.T) {
	set, err := load(t, overlays, "apps/production")
	if err != nil {
		t.Fatal(err)
	}
	if got := refs(set); len(got) != 3 {
		t.Errorf("got %v", got)
	}
}

func TestRender_Mistakes(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"missing resource", "-- a/kustomization.yaml --\nresources:\n- web.yaml", "a/kustomization.yaml:2: web.yaml does not exist"},
		{"leads out", "-- a/kustomization.yaml --\nresources:\n- ../../../etc", "a/kustomization.yaml:2: ../../../etc leads out of the repository"},
		{"absolute", "-- kustomization.yaml --\nresources:\n- /etc/passwd", "kustomization.yaml:2: /etc/passwd is an absolute path"},
		{"remote", "-- kustomization.yaml --\nresources:\n- https://github.com/org/repo//base?ref=v1", "kustomization.yaml:2: https://github.com/org/repo//base?ref=v1: lies outside of the repository, and github.com is not among the hosts of --remote-bases"},
		{"program", "-- kustomization.yaml --\ngenerators:\n- gen.yaml\n-- gen.yaml --\napiVersion: x/v1\nkind: G\nmetadata:\n  name: g\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: ./run.sh}", "gen.yaml:6: functions that run a program or a container are refused"},
		{"helm charts", "-- kustomization.yaml --\nhelmCharts:\n- name: x", "kustomization.yaml:1: helmCharts runs the helm program; name the chart in spec.charts of writ.yaml"},
		{"cycle", "-- a/kustomization.yaml --\nresources: [../b]\n-- b/kustomization.yaml --\nresources: [../a]\n-- c/kustomization.yaml --\nresources: [../a]", "cycle detected"},
		{"itself", "-- a/kustomization.yaml --\nresources: [../a]", "a/kustomization.yaml:1: cycle detected: this leads back to a, which is being built"},
		{"itself by another name", "-- kustomization.yaml --\nresources: [.]", "kustomization.yaml:1: cycle detected: this leads back to ., which is being built"},
		{"a circle that nothing leads to", "-- a/kustomization.yaml --\nresources: [../b]\n-- b/kustomization.yaml --\nresources: [../a]", "b/kustomization.yaml:1: cycle detected: this leads back to a, which is being built"},
		{"broken resource", "-- kustomization.yaml --\nresources: [web.yaml]\n-- web.yaml --\nkind: Service\n  metadata: {}", "web.yaml:2: mapping values are not allowed in this context"},
		{"invalid object", "-- kustomization.yaml --\nresources: [web.yaml]\nnamePrefix: a-\n-- web.yaml --\napiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - port: 0", "web.yaml:7: Service/default/a-web: spec.ports[0].port: Invalid value: 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(t, test.text, "")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got: %v\nwant: %s", err, test.want)
			}
		})
	}
}

// What no commit asks a program for: that it never ends, or takes all memory.
func TestRender_Bombs(t *testing.T) {
	lines := "- {op: add, path: /data/k, value: &a0 [x,x,x,x,x,x,x,x,x,x]}\n"
	for i := 1; i < 10; i++ {
		lines += "- {op: add, path: /data/k, value: &a" + string(rune('0'+i)) + " [" + strings.Repeat("*a"+string(rune('0'+i-1))+",", 9) + "x]}\n"
	}
	text := "-- kustomization.yaml --\nresources: [cm.yaml]\npatches:\n- path: bomb.yaml\n  target: {kind: ConfigMap}\n-- cm.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n-- bomb.yaml --\n" + lines +
		"-- fine/kustomization.yaml --\nresources: [cm.yaml]\n-- fine/cm.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}"
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := New(t.Context(), Config{Program: self, Memory: 256 << 20, Timeout: 5 * time.Second})
	started := time.Now()
	got, err := r.Render(tree(t, text), []manifest.Unit{
		{Folder: ".", Source: manifest.Source{Path: "kustomization.yaml"}},
		{Folder: "fine", Source: manifest.Source{Path: "fine/kustomization.yaml"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got[0].Mistakes) == 0 {
		t.Error("the bomb was rendered")
	}
	t.Log(got[0].Mistakes, time.Since(started))
	if len(got[1].Mistakes) > 0 || len(got[1].Documents) != 1 {
		t.Errorf("the other unit suffered: %+v", got[1])
	}
}
