package manifest

import (
	"io/fs"
	"strings"
	"testing"
)

func TestChart_Settings(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, test := range []struct{ name, chart, want string }{
		{"from the repository", "{name: a, path: charts/a, valueFiles: [v.yaml], values: {a: 1}, skipCRDs: true, apiVersions: [x.example/v1]}", ""},
		{"from an index", "{name: a, repository: https://charts.example/stable, chart: a, version: 1.2.3, digest: " + digest + "}", ""},
		{"from a registry", "{name: a, repository: oci://registry.example/charts/a, version: 1.2.3-rc.1+build}", ""},
		{"from this machine", "{name: a, repository: http://127.0.0.1:8080, chart: a, version: v1.2.3}", ""},
		{"from nowhere", "{name: a}", "spec.charts[0]: needs either path, a folder of this repository, or repository"},
		{"from two places", "{name: a, path: a, repository: oci://registry.example/a, version: 1.2.3}", "spec.charts[0]: needs either path"},
		{"a folder with a version", "{name: a, path: a, version: 1.2.3}", "chart, version and digest are for a chart from a repository"},
		{"an absolute folder", "{name: a, path: /charts}", "spec.charts[0].path: /charts is an absolute path"},
		{"a file", "{name: a, repository: file:///charts, chart: a, version: 1.2.3}", `spec.charts[0].repository: "file:///charts" is neither an https nor an oci URL`},
		{"in clear text", "{name: a, repository: http://charts.example, chart: a, version: 1.2.3}", "http is for loopback addresses only"},
		{"with a password", "{name: a, repository: \"https://me:secret@charts.example\", chart: a, version: 1.2.3}", "spec.charts[0].repository: holds a user name or password"},
		{"a range of versions", "{name: a, repository: https://charts.example, chart: a, version: ^1.2}", `spec.charts[0].version: "^1.2" is not an exact version`},
		{"no chart", "{name: a, repository: https://charts.example, version: 1.2.3}", "spec.charts[0].chart: is missing"},
		{"a chart beside an oci URL", "{name: a, repository: oci://registry.example/a, chart: a, version: 1.2.3}", "an oci URL names the chart itself"},
		{"a wrong digest", "{name: a, repository: https://charts.example, chart: a, version: 1.2.3, digest: abc}", `"abc" is not of the form sha256:HEX`},
		{"values from elsewhere", "{name: a, path: a, valueFiles: [\"https://x.example/v.yaml\"]}", "https://x.example/v.yaml is not a path in this repository"},
		{"a long name", "{name: " + strings.Repeat("a", 54) + ", path: a}", "must be no longer than 53 characters"},
		{"twice", "{name: a, path: a}\n  - {name: a, namespace: default, path: b}", "writ.yaml:6: spec.charts[1].name: release default/a is already spec.charts[0]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, mistakes := readSettings("writ.yaml", []byte("apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  charts:\n  - "+test.chart+"\n"))
			got := mistakes.Error()
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if strings.Contains(got, "secret@") {
				t.Errorf("repeats a password: %s", got)
			}
		})
	}
}

// sealedRelease renders a chart to a release that rests on a key which is bound to namespaces.
type sealedRelease []string

func (s sealedRelease) Render(_ fs.FS, units []Unit) ([]Rendering, error) {
	secrecy := Secrecy{Uses: []Use{{Key: "age1key", Namespaces: s}}}
	return []Rendering{{Release: &Release{Name: units[0].Chart.Name, Namespace: units[0].Chart.Namespace}, Secrecy: &secrecy}}, nil
}

// A release holds the values that it was rendered with: it must not carry them into another namespace.
func TestChart_ReleaseStaysWhereItsKeysAre(t *testing.T) {
	files := tree(t, "-- writ.yaml --\napiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {charts: [{name: a, path: charts/a}]}\n")
	for namespace, want := range map[string]int{"default": 1, "other": 0} {
		set, err := Loader{Renderer: sealedRelease{namespace}}.Load(files, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(set.Releases()); got != want {
			t.Errorf("key bound to %s: %d releases, want %d", namespace, got, want)
		}
	}
}
