package render

import (
	"encoding/json"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"writ/manifest"
)

func shop(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/shop.txtar")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// object is an object of a set as JSON, with where it came from.
func object(t testing.TB, s *manifest.Set, ref manifest.Ref) (string, manifest.Source) {
	t.Helper()
	item, ok := s.Get(ref)
	if !ok {
		t.Fatalf("no %s among %v", ref, refs(s))
	}
	text, err := json.Marshal(item.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), item.Source
}

func TestChart_Objects(t *testing.T) {
	set, err := load(t, shop(t), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ClusterRole/shop-reader", "ConfigMap/store/shop-cache", "ConfigMap/store/shop-shop", "CustomResourceDefinition/entries.cache.example",
		"CustomResourceDefinition/flavours.shop.example", "Deployment/store/shop-shop", "Flavour/store/vanilla", "Job/store/shop-announce",
		"Job/store/shop-migrate", "Job/store/shop-prepare", "Namespace/store", "Service/store/shop-shop",
	}
	got := refs(set)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	for _, test := range []struct {
		ref  manifest.Ref
		path string
		line int
		has  []string
	}{
		{manifest.Ref{Group: "apps", Kind: "Deployment", Namespace: "store", Name: "shop-shop"}, "charts/shop/templates/deployment.yaml", 2,
			[]string{`"replicas":3`, `"registry.example/shop:2.1"`, `"IfNotPresent"`, `"app.kubernetes.io/managed-by":"Helm"`, `depends-on":"batch/namespaces/store/Job/shop-migrate"`}},
		{manifest.Ref{Kind: "ConfigMap", Namespace: "store", Name: "shop-shop"}, "charts/shop/templates/configmap.yaml", 1,
			[]string{`"hello from a file\n"`, `"{\"colour\":\"green\"}"`, `"true 1"`, `"looked":"{}"`, `"v1.36.0"`, `"policy":"true false"`, `"notes":""`}},
		{manifest.Ref{Kind: "ConfigMap", Namespace: "store", Name: "shop-cache"}, "charts/shop/charts/cache/templates/config.yaml", 1, []string{`"size":"1"`}},
		{manifest.Ref{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "shop-reader"}, "charts/shop/templates/service.yaml", 9, nil},
		{manifest.Ref{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: "flavours.shop.example"}, "charts/shop/crds/flavours.yaml", 2, nil},
	} {
		text, source := object(t, set, test.ref)
		if source != (manifest.Source{Path: test.path, Line: test.line}) {
			t.Errorf("%s comes from %v, want %s:%d", test.ref, source, test.path, test.line)
		}
		for _, part := range test.has {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %s in %s", test.ref, part, text)
			}
		}
	}
}

// What is deployed waits for hooks as Helm would order them.
func TestChart_HooksInOrder(t *testing.T) {
	set, err := load(t, shop(t), "")
	if err != nil {
		t.Fatal(err)
	}
	job := func(name string) manifest.Ref {
		return manifest.Ref{Group: "batch", Kind: "Job", Namespace: "store", Name: name}
	}
	for _, test := range []struct {
		name string
		on   []manifest.Ref
		runs bool // again for each version of the release
	}{
		{"shop-prepare", nil, false},
		{"shop-migrate", []manifest.Ref{job("shop-prepare")}, true},
		{"shop-announce", []manifest.Ref{{Group: "apps", Kind: "Deployment", Namespace: "store", Name: "shop-shop"}}, true},
	} {
		item, ok := set.Get(job(test.name))
		if !ok {
			t.Fatalf("no %s", test.name)
		}
		if on, err := manifest.DependsOn(item.Object); err != nil || !slices.Equal(on, test.on) {
			t.Errorf("%s waits for %v (%v), want %v", test.name, on, err, test.on)
		}
		template := manifest.Template(item.Object)
		if digest := template.Annotations["writ.dev/release-digest"]; (digest != "") != test.runs {
			t.Errorf("%s: digest of the release %q, want one: %t", test.name, digest, test.runs)
		}
		if how := item.Object.GetAnnotations()["writ.dev/on-immutable-change"]; how != "recreate" {
			t.Errorf("%s is not made new when it changes: %q", test.name, how)
		}
	}
}

// Another value is another version of the release: hooks for upgrades run again, others do not.
func TestChart_HooksOfAnotherVersion(t *testing.T) {
	digest := func(text string) string {
		set, err := load(t, text, "")
		if err != nil {
			t.Fatal(err)
		}
		item, _ := set.Get(manifest.Ref{Group: "batch", Kind: "Job", Namespace: "store", Name: "shop-migrate"})
		return manifest.Template(item.Object).Annotations["writ.dev/release-digest"]
	}
	first := digest(shop(t))
	if again := digest(shop(t)); again != first {
		t.Errorf("the same release has digests %s and %s", first, again)
	}
	if other := digest(strings.Replace(shop(t), `tag: "2.1"`, `tag: "2.2"`, 1)); other == first {
		t.Errorf("another version has the same digest %s", first)
	}
}

// counter counts what is rendered.
type counter struct {
	manifest.Renderer
	units int
}

func (c *counter) Render(fsys fs.FS, units []manifest.Unit) ([]manifest.Rendering, error) {
	c.units += len(units)
	return c.Renderer.Render(fsys, units)
}

func TestChart_OnlyWhatChangedIsRenderedAgain(t *testing.T) {
	counting := &counter{Renderer: renderer(t)}
	loader := manifest.Loader{Renderer: counting}
	first, err := loader.Load(tree(t, shop(t)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, old, new string
		renders        int
	}{
		{"nothing", "", "", 0},
		{"a plain manifest", "metadata: {name: store}", "metadata: {name: store, labels: {a: b}}", 0},
		{"what .helmignore lists", "nothing: here", "nothing: there", 0},
		{"a template", "greeting: {{", "salute: {{", 1},
		{"a file of values", "replicaCount: 3", "replicaCount: 4", 1},
		{"values in writ.yaml", `tag: "2.1"`, `tag: "2.2"`, 1},
	} {
		counting.units = 0
		if _, err := loader.Load(tree(t, strings.Replace(shop(t), test.old, test.new, 1)), first); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if counting.units != test.renders {
			t.Errorf("%s: rendered %d units, want %d", test.name, counting.units, test.renders)
		}
	}
}

// The version that charts are told is that of the linked types.
func TestChart_KubernetesVersion(t *testing.T) {
	data, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, after, replaced := strings.Cut(string(data), "\tk8s.io/api => k8s.io/api v0.")
	minor, _, _ := strings.Cut(after, ".")
	if want := "v1." + minor + ".0"; !replaced || kubernetesVersion != want {
		t.Errorf("charts are told Kubernetes %s, the types are of %s", kubernetesVersion, want)
	}
}
