package reconcile_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	release "helm.sh/helm/v4/pkg/release/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/scenario"
	"writ/manifest"
	"writ/reconcile"
)

// oneRelease renders every chart to no object and a release whose manifest is the chart's values.
type oneRelease struct{ t *testing.T }

func (o oneRelease) Render(_ fs.FS, units []manifest.Unit) ([]manifest.Rendering, error) {
	all := make([]manifest.Rendering, len(units))
	for i, u := range units {
		body, err := json.Marshal(release.Release{
			Name: u.Chart.Name, Namespace: u.Chart.Namespace, Manifest: fmt.Sprint(u.Chart.Values["say"]),
			Chart: &chart.Chart{Metadata: &chart.Metadata{Name: "web", Version: "1.2.3"}},
		})
		if err != nil {
			o.t.Fatal(err)
		}
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(body); err != nil {
			o.t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			o.t.Fatal(err)
		}
		all[i].Release = &manifest.Release{Name: u.Chart.Name, Namespace: u.Chart.Namespace, Body: packed.Bytes()}
	}
	return all, nil
}

func asksFor(say string) string {
	return "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {charts: [{name: web, namespace: default, path: charts/web, values: {say: " + say + "}}]}"
}

// releases are the versions of releases in a cluster as Helm reads them, each with the Secret's labels.
func releases(t *testing.T, c *scenario.Cluster) []string {
	t.Helper()
	var all []string
	for r := range c.World.List("", "Secret", "") {
		s := r.Object.(*corev1.Secret)
		if s.Type != "helm.sh/release.v1" {
			continue
		}
		packed, err := base64.StdEncoding.DecodeString(string(s.Data["release"]))
		if err != nil {
			t.Fatal(err)
		}
		zip, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(zip)
		if err != nil {
			t.Fatal(err)
		}
		var got release.Release
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if name := fmt.Sprintf("sh.helm.release.v1.%s.v%d", got.Name, got.Version); s.Name != name || got.Namespace != s.Namespace || got.Chart.Metadata.Version != "1.2.3" {
			t.Errorf("%s holds %s of %s, chart %+v", s.Name, name, got.Namespace, got.Chart.Metadata)
		}
		labels := map[string]string{"name": got.Name, "owner": "helm", "status": got.Info.Status.String(), "version": fmt.Sprint(got.Version)}
		if !maps.Equal(s.Labels, labels) {
			t.Errorf("%s has labels %v, want %v", s.Name, s.Labels, labels)
		}
		all = append(all, fmt.Sprintf("%s v%d %s %s, first %s, last %s, %s", got.Name, got.Version, got.Info.Status, got.Manifest,
			got.Info.FirstDeployed.Format(time.TimeOnly), got.Info.LastDeployed.Format(time.TimeOnly), got.Info.Description))
	}
	slices.Sort(all)
	return all
}

func wantReleases(t *testing.T, c *scenario.Cluster, want ...string) {
	t.Helper()
	if got := releases(t, c); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRelease_VersionsAreAdoptedChanges(t *testing.T) {
	c := scenario.NewCluster()
	c.Loader.Renderer = oneRelease{t}
	adopt := func(subject, say, other string) {
		t.Helper()
		c.Now = c.Now.Add(time.Minute)
		tree := files("writ.yaml", asksFor(say), "other.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}, data: {a: "+other+"}}")
		if say == "" {
			tree = files("other.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}, data: {a: "+other+"}}")
		}
		if _, err := c.Commit(tree, reconcile.Commit{Subject: subject}); err != nil {
			t.Fatal(err)
		}
		settle(t, c)
	}
	adopt("first", "hello", "a")
	wantReleases(t, c, "web v1 deployed hello, first 12:01:00, last 12:01:00, commit 0000001: first")
	adopt("elsewhere", "hello", "b")
	wantReleases(t, c, "web v1 deployed hello, first 12:01:00, last 12:01:00, commit 0000001: first")
	adopt("again", "hello", "b")
	adopt("second", "bye", "b")
	wantReleases(t, c, "web v1 superseded hello, first 12:01:00, last 12:01:00, commit 0000001: first",
		"web v2 deployed bye, first 12:01:00, last 12:04:00, commit 0000004: second")
	c.Set = nil // as after a start
	adopt("the same after a start", "bye", "b")
	if got := releases(t, c); len(got) != 2 {
		t.Errorf("after a start: %v", got)
	}
	adopt("gone", "", "b")
	wantReleases(t, c)
}

func TestRelease_LastTenAreKept(t *testing.T) {
	c := scenario.NewCluster()
	c.Loader.Renderer = oneRelease{t}
	for i := range 13 {
		mustCommit(t, c, files("writ.yaml", asksFor(fmt.Sprint("v", i+1))))
	}
	got := releases(t, c)
	if len(got) != 10 || !strings.HasPrefix(got[0], "web v10 superseded v10,") || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "web v13 deployed v13,") }) ||
		!slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "web v4 superseded v4,") }) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// A Secret that somebody declares under the name of a version is left alone.
func TestRelease_DeclaredSecretStays(t *testing.T) {
	c := scenario.NewCluster()
	c.Loader.Renderer = oneRelease{t}
	mustCommit(t, c, files("writ.yaml", asksFor("hello"), "s.yaml", "{apiVersion: v1, kind: Secret, metadata: {name: sh.helm.release.v1.web.v1}, stringData: {a: mine}}"))
	item := c.World.Get(manifest.SecretRef("default", "sh.helm.release.v1.web.v1"))
	if item == nil || string(item.Object.(*corev1.Secret).Data["a"]) != "mine" {
		t.Errorf("got %+v", item)
	}
}
