package render

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/tools/txtar"

	"writ/manifest"
)

// small is a tree whose writ.yaml asks for one chart; files come beside what it needs, or instead.
func small(files string) string {
	const base = "-- writ.yaml --\napiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  charts:\n  - name: app\n    path: chart\n    valueFiles: [values.yaml]\n-- values.yaml --\na: 1\n" +
		"-- chart/Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\n"
	all := txtar.Parse([]byte(base))
	for _, f := range txtar.Parse([]byte(files)).Files {
		all.Files = slices.DeleteFunc(all.Files, func(old txtar.File) bool { return old.Name == f.Name })
		all.Files = append(all.Files, f)
	}
	return string(txtar.Format(all))
}

// dependent is Chart.yaml of a chart with a dependency.
const dependent = "-- chart/Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n- name: db\n  version: ^2.0.0\n  repository: https://charts.example\n"

const lock = "-- chart/Chart.lock --\ndependencies:\n- name: db\n  repository: https://charts.example\n  version: 2.3.0\n"

func TestChart_Mistakes(t *testing.T) {
	const cm = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n"
	for _, test := range []struct{ name, files, want string }{
		{"no chart", "-- chart/Chart.yaml --\n", "chart/Chart.yaml: validation: chart.metadata.name is required"},
		{"no such folder", "-- writ.yaml --\napiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  charts:\n  - {name: app, path: elsewhere}", "writ.yaml:5: path: elsewhere is no folder of this repository"},
		{"out of the repository", "-- writ.yaml --\napiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  charts:\n  - {name: app, path: ../../etc}", "leads out of the repository"},
		{"no such values", "-- writ.yaml --\napiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  charts:\n  - {name: app, path: chart, valueFiles: [there.yaml]}", "writ.yaml:5: valueFiles: there.yaml does not exist"},
		{"values that are no YAML", "-- values.yaml --\na: 1\n b: 2", "values.yaml:2: mapping values are not allowed in this context"},
		{"chart's values that are no YAML", "-- chart/values.yaml --\na: 1\n b: 2", "chart/values.yaml:2: mapping values are not allowed in this context"},
		{"template that is none", "-- chart/templates/a.yaml --\n" + cm + "  a: {{ .Values.a }\n", `chart/templates/a.yaml:5: unexpected "}" in operand`},
		{"unknown function", "-- chart/templates/a.yaml --\n\n{{ nonsense }}", `chart/templates/a.yaml:2: function "nonsense" not defined`},
		{"nil", "-- chart/templates/a.yaml --\n" + cm + "  a: {{ .Values.b.c }}\n", "chart/templates/a.yaml:5: nil pointer evaluating interface {}.c"},
		{"nil in a helper", "-- chart/templates/a.yaml --\n" + cm + "  a: {{ include \"h\" . }}\n-- chart/templates/_h.tpl --\n{{ define \"h\" }}\n{{ .Values.b.c }}{{ end }}", "chart/templates/_h.tpl:2: nil pointer evaluating interface {}.c (used by chart/templates/a.yaml:5)"},
		{"required", "-- chart/templates/a.yaml --\n" + cm + "  a: {{ required \"say b\" .Values.b }}\n", "chart/templates/a.yaml:5: say b"},
		{"fail", "-- chart/templates/a.yaml --\n" + cm + "  a: {{ fail \"not like this\" }}\n", "chart/templates/a.yaml:5: not like this"},
		{"renders no YAML", "-- chart/templates/a.yaml --\n" + cm + "  a: b: c\n", "chart/templates/a.yaml: renders YAML that cannot be read, in line 5 of a document: mapping values are not allowed in this context"},
		{"object of the wrong form", "-- chart/templates/a.yaml --\n{{ if true }}\n" + cm + "  a: [1]\n{{ end }}", "chart/templates/a.yaml:2: ConfigMap/default/a: data[a]: must be a string"},
		{"schema", "-- chart/values.schema.json --\n{\"properties\": {\"a\": {\"type\": \"string\"}}}", "writ.yaml:5: values do not fit values.schema.json of chart app: - at '/a': got number, want string"},
		{"schema elsewhere", "-- chart/values.schema.json --\n{\"$ref\": \"https://schemas.example/x.json\"}", "writ.yaml:5: values.schema.json refers to https://schemas.example/x.json, which is not fetched"},
		{"schema in a file", "-- chart/values.schema.json --\n{\"$ref\": \"file:///etc/passwd\"}", "writ.yaml:5: values.schema.json refers to file:///etc/passwd, which is not fetched"},
		{"library", "-- chart/Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\ntype: library", "chart/Chart.yaml: is a library"},
		{"wrong Kubernetes", "-- chart/Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\nkubeVersion: <1.20", "chart/Chart.yaml: kubeVersion: the chart wants Kubernetes <1.20, and this is v1.36.0"},
		{"dependency is missing", dependent + lock, "chart/Chart.yaml:5: dependency db: is not in charts/; run `helm dependency build` there and commit charts/"},
		{"dependency is not the locked one", dependent + lock + "-- chart/charts/db/Chart.yaml --\napiVersion: v2\nname: db\nversion: 2.2.0", "dependency db: charts/ has version 2.2.0, Chart.lock says 2.3.0"},
		{"dependency does not fit", dependent + "-- chart/charts/db/Chart.yaml --\napiVersion: v2\nname: db\nversion: 1.9.0", "dependency db: charts/ has version 1.9.0, which is not ^2.0.0"},
		{"dependency is not locked", dependent + "-- chart/Chart.lock --\ndependencies: []\n-- chart/charts/db/Chart.yaml --\napiVersion: v2\nname: db\nversion: 2.3.0", "dependency db: is not in Chart.lock; run `helm dependency update`"},
		{"dependency that depends on itself", "-- chart/Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n- {name: app, version: 1.0.0, repository: \"file://.\"}", "lies in more than 10 charts that depend on each other"},
		{"dependency out of the repository", "-- chart/Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n- {name: b, version: 1.0.0, repository: \"file://../../b\"}", "file://../../b leads out of the repository"},
		{"archive that is none", "-- chart/charts/db-1.0.0.tgz --\nnonsense", "chart/charts/db-1.0.0.tgz: cannot be unpacked as a chart"},
		{"chance", "-- chart/templates/a.yaml --\n" + cm + "  a: {{ randAlphaNum 8 }}\n", "chart/templates/a.yaml: renders something else each time (line 5 of what it renders)"},
		{"little chance", "-- chart/templates/a.yaml --\n" + cm + "  a: x{{ randInt 1 3 }}\n", "chart/templates/a.yaml: renders something else each time"},
		{"the day", "-- chart/templates/a.yaml --\n" + cm + "  a: {{ now | date \"2006-01-02\" | quote }}\n", "chart/templates/a.yaml: renders something else each time"},
		{"a certificate", "-- chart/templates/a.yaml --\n" + cm + "  a: {{ (genCA \"x\" 1).Cert | b64enc }}\n", "chart/templates/a.yaml: renders something else each time"},
		{"a salt", "-- chart/templates/a.yaml --\n" + cm + "  a: {{ htpasswd \"u\" \"p\" | quote }}\n", "chart/templates/a.yaml: renders something else each time"},
		{"recursion", "-- chart/templates/a.yaml --\n{{ define \"r\" }}{{ include \"r\" . }}{{ end }}{{ include \"r\" . }}", "chart/templates/a.yaml:1: rendering template has a nested reference name: r: unable to execute template"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(t, small(test.files), "")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got: %.1000v\nwant: %s", err, test.want)
			}
		})
	}
}

// Every template that is broken is told of at once.
func TestChart_AllMistakesAtOnce(t *testing.T) {
	_, err := load(t, small("-- chart/templates/a.yaml --\n{{ nonsense }}\n-- chart/templates/b.yaml --\na: 1\n-- chart/templates/c.yaml --\n{{ fail \"no\" }}\n-- chart/templates/d.yaml --\n\n{{ required \"say d\" .Values.d }}"), "")
	want := "chart/templates/a.yaml:1: function \"nonsense\" not defined\nchart/templates/c.yaml:1: no\nchart/templates/d.yaml:2: say d"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// A chart sees nothing but itself: not the node's files, not those beside it, no server's name.
func TestChart_SeesOnlyItself(t *testing.T) {
	set, err := load(t, small(`-- other.txt --
beside
-- chart/templates/a.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  absolute: {{ .Files.Get "/etc/passwd" | quote }}
  above: {{ .Files.Get "../other.txt" | quote }}
  glob: {{ (.Files.Glob "/etc/*").AsConfig | quote }}
  host: {{ getHostByName "localhost" | quote }}
  env: {{ get (dict) "HOME" | quote }}
`), "")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := object(t, set, manifest.Ref{Kind: "ConfigMap", Namespace: "default", Name: "a"})
	for _, want := range []string{`"absolute":""`, `"above":""`, `"host":""`, `"env":""`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if _, err := load(t, small("-- chart/templates/a.yaml --\n{{ env \"HOME\" }}"), ""); err == nil || !strings.Contains(err.Error(), `function "env" not defined`) {
		t.Errorf("env: %v", err)
	}
}

// A symbolic link in a chart reads what is in the repository, and never what is outside of it.
func TestChart_Links(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"chart", "shared", "chart/templates"} {
		if err := os.Mkdir(dir+"/"+folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("writ.yaml", "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {charts: [{name: app, path: chart}]}")
	write("chart/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0")
	write("chart/templates/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: {{ .Files.Get \"shared/text\" | quote }}}")
	write("shared/text", "from a link")
	write(".writignore", "shared\n")
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	link("../shared", "chart/shared")
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	loader := manifest.Loader{Renderer: renderer(t)}
	set, err := loader.Load(root.FS(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := object(t, set, manifest.Ref{Kind: "ConfigMap", Namespace: "default", Name: "a"}); !strings.Contains(text, `"a":"from a link"`) {
		t.Errorf("got %s", text)
	}
	for _, test := range []struct{ name, to, want string }{
		{"chart/passwd", "/etc/passwd", "chart/passwd: leads out of the repository"},
		{"chart/dead", "nowhere", "chart/dead: is a symbolic link that leads nowhere"},
		{"chart/loop", "..", "one of them may lead back into the chart"},
	} {
		link(test.to, test.name)
		if _, err = loader.Load(root.FS(), nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
		if err := os.Remove(dir + "/" + test.name); err != nil {
			t.Fatal(err)
		}
	}
}

// What no commit asks a chart for: all memory, all time, more than a cluster can hold.
func TestChart_Bombs(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := New(t.Context(), Config{Program: self, Memory: 256 << 20, Timeout: 3 * time.Second})
	unit := func(folder string) manifest.Unit {
		return manifest.Unit{Folder: folder, Chart: &manifest.Chart{Name: "app", Namespace: "default", Path: folder}, Source: manifest.Source{Path: "writ.yaml", Line: 3}}
	}
	files := fstest.MapFS{}
	chart := func(name, template string) {
		files[name+"/Chart.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: v2\nname: app\nversion: 1.0.0")}
		files[name+"/templates/a.yaml"] = &fstest.MapFile{Data: []byte(template)}
	}
	const cm = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	chart("output", cm+"data: {a: \"{{ range until 100 }}{{ repeat 30000000 \"x\" }}{{ end }}\"}")
	chart("large", cm+"data: {a: \"{{ repeat 20000000 \"x\" }}\"}")
	chart("forever", `{{ define "r" }}{{ range until 1000 }}{{ range until 1000 }}{{ range until 1000000 }}{{ end }}{{ end }}{{ end }}{{ end }}{{ include "r" . }}`)
	chart("deep", `{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}`)
	chart("templates", `{{ define "r" }}{{ tpl "{{ include \"r\" . }}{{ include \"r\" . }}" . }}{{ end }}{{ include "r" . }}`)
	chart("fine", cm)
	for i, test := range []struct{ folder, want string }{
		{"output", "more memory is needed than is allowed"},
		{"large", "the chart renders 19 MiB, at most 16 MiB are allowed"},
		{"forever", "took longer than 3s to render"},
		{"deep", ""},
		{"templates", ""},
	} {
		got, err := r.Render(files, []manifest.Unit{unit(test.folder), unit("fine")})
		if err != nil {
			t.Fatal(err)
		}
		if text := got[0].Mistakes.Error(); text == "" || !strings.Contains(text, test.want) {
			t.Errorf("%d %s: got %q, want %q", i, test.folder, text, test.want)
		}
		t.Log(test.folder, got[0].Mistakes)
		if len(got[1].Mistakes) > 0 || len(got[1].Documents) != 1 {
			t.Errorf("%s: the other chart suffered: %+v", test.folder, got[1])
		}
	}
}
