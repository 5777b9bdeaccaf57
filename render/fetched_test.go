package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"writ/fixtures/charts"
	"writ/manifest"
	"writ/render/wire"
)

// offered are charts that somebody has, by their names.
type offered map[string][]byte

func (o offered) Fetch(_ context.Context, c manifest.Chart) ([]byte, string, error) {
	switch archive, found := o[c.Chart]; {
	case c.Chart == "away":
		return nil, "", errors.New("connection refused")
	case !found:
		return nil, "", fmt.Errorf("%w: nobody has it", ErrRefused)
	default:
		return archive, charts.Digest(archive), nil
	}
}

// fetching loads a tree whose writ.yaml asks for charts from a repository.
func fetching(t *testing.T, o offered, names ...string) (*manifest.Set, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  charts:\n"
	for _, name := range names {
		text += "  - {name: " + name + ", repository: \"https://charts.example\", chart: " + name + ", version: 1.2.3, values: {colour: green}}\n"
	}
	r := New(t.Context(), Config{Program: self, Charts: o, Memory: 512 << 20})
	return manifest.Loader{Renderer: r}.Load(fstest.MapFS{"writ.yaml": {Data: []byte(text)}}, nil)
}

const template = "-- templates/map.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-{{ .Chart.Name }}}\ndata: {colour: {{ .Values.colour }}}\n"

func TestFetched(t *testing.T) {
	db := charts.Pack(t, "db", "-- Chart.yaml --\napiVersion: v2\nname: db\nversion: 2.0.1\n-- values.yaml --\ncolour: red\n"+template)
	o := offered{}
	o["web"] = charts.Archive(t, map[string][]byte{
		"web/Chart.yaml":          []byte("apiVersion: v2\nname: web\nversion: 1.2.3\ndependencies:\n- {name: db, version: 2.x.x, repository: \"https://charts.example\"}\n"),
		"web/templates/map.yaml":  txtar.Parse([]byte(template)).Files[0].Data,
		"web/charts/db-2.0.1.tgz": db,
	})
	set, err := fetching(t, o, "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, colour, path string }{
		{"web-web", "green", "web-1.2.3.tgz/templates/map.yaml"},
		{"web-db", "red", "web-1.2.3.tgz/charts/db-2.0.1.tgz/templates/map.yaml"},
	} {
		text, source := object(t, set, manifest.Ref{Kind: "ConfigMap", Namespace: "default", Name: test.name})
		if !strings.Contains(text, `"colour":"`+test.colour+`"`) || source.Path != test.path {
			t.Errorf("%s comes from %v, want %s: %s", test.name, source, test.path, text)
		}
	}
	if releases := set.Releases(); len(releases) != 1 || releases[0].Name != "web" || releases[0].Namespace != "default" || len(releases[0].Body) == 0 {
		t.Errorf("releases: %+v", releases)
	}
}

func TestFetched_Mistakes(t *testing.T) {
	chart := func(files string) []byte {
		return charts.Pack(t, "web", "-- Chart.yaml --\napiVersion: v2\nname: web\nversion: 1.2.3\n"+files)
	}
	const meta = "apiVersion: v2\nname: web\nversion: 1.2.3\n"
	zeros := make([]byte, 4<<20)
	bomb := map[string][]byte{"web/Chart.yaml": []byte(meta)}
	for i := range 30 {
		bomb[fmt.Sprintf("web/files/%d", i)] = zeros
	}
	for _, test := range []struct {
		name, want string
		archive    []byte
	}{
		{"nobody has it", "writ.yaml:5: nobody has it", nil},
		{"no archive", "web-1.2.3.tgz: cannot be unpacked as a chart: ", []byte("<html>")},
		{"broken template", `web-1.2.3.tgz/templates/a.yaml:2: function "nonsense" not defined`, chart("-- templates/a.yaml --\n\n{{ nonsense }}")},
		{"wrong object", "web-1.2.3.tgz/templates/a.yaml:2: Service/default/a: spec.ports[0].port: Invalid value: 0", chart("-- templates/a.yaml --\n{{ if true }}\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 0}]}{{ end }}")},
		{"dependency is missing", "web-1.2.3.tgz/Chart.yaml: dependency db: is not in charts/", charts.Pack(t, "web", "-- Chart.yaml --\n"+meta+"dependencies:\n- {name: db, version: 1.0.0, repository: \"file://../db\"}")},
		{"out of the archive", "chart illegally references parent directory", charts.Archive(t, map[string][]byte{"web/Chart.yaml": []byte(meta), "web/../../etc/cron.d/x": []byte("x")})},
		{"unpacks to much more", "decompressed chart is larger than the maximum size", charts.Archive(t, bomb)},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := offered{}
			if test.archive != nil {
				o["web"] = test.archive
			}
			_, err := fetching(t, o, "web")
			var mistakes manifest.Mistakes
			if !errors.As(err, &mistakes) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

// A server that is away says nothing about a commit.
func TestFetched_ServerAway(t *testing.T) {
	_, err := fetching(t, offered{}, "away")
	var mistakes manifest.Mistakes
	if err == nil || errors.As(err, &mistakes) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}

// What lies at a path in the repository that looks like that of a fetched chart is no such chart.
func TestFetched_PathsAreNoFiles(t *testing.T) {
	for _, name := range []string{"/sha256-00/web-1.2.3.tgz", "/etc/passwd"} {
		answer, data := newServer(fstest.MapFS{}, nil).answer(wire.Ask{Op: wire.Read, Path: name})
		if answer.Kind != "" || answer.Refused == "" || data != nil {
			t.Errorf("%s: answered %+v with %d bytes", name, answer, len(data))
		}
		if fs.ValidPath(name) {
			t.Errorf("%s may be a path of a repository", name)
		}
	}
}
