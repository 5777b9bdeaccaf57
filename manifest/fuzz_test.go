package manifest

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

// Whatever a repository holds, reading it ends, tells places that are there, and says the same twice.
func FuzzLoad(f *testing.F) {
	const settings = "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: {guards: {maxDeletes: {objects: 1}}, suspend: {reason: a, until: x}}\n"
	for _, seed := range []string{
		shop, web, "a: &a [*a]", "a: &a {x: 1}\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]", strings.Repeat("[", 5000),
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, name: b}\n", "apiVersion: v1\n\tkind: ConfigMap\n", "\x00\x01\x02\xff", "<<: *a", "--- |\n x\n--- !!binary x\n...",
		"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: ../a}}\n- 5\n", "sops: {mac: x}\nkind: Secret\napiVersion: v1\nmetadata: {name: a}",
		"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b.c}\nspec: {group: b.c, names: {kind: A, plural: a}, scope: Cluster, versions: []}",
	} {
		f.Add(seed, settings, "*.tmp\n!a\n**/x\n")
	}
	f.Fuzz(func(t *testing.T, text, settings, ignore string) {
		files := fstest.MapFS{
			"a.yaml": {Data: []byte(text)}, "b/c.json": {Data: []byte(text)}, "writ.yaml": {Data: []byte(settings)}, "b/.writignore": {Data: []byte(ignore)},
			"b/d.yaml": {Data: []byte(configMap("d"))},
		}
		loader := Loader{Decrypter: Sealed{}}
		r, err := loader.Check(files, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range []Mistakes{r.Mistakes, r.Warnings} {
			for _, m := range list {
				file := files[m.Source.Path]
				if m.What == "" || file == nil && m.Source.Path != "" {
					t.Errorf("%+v", m)
				} else if file != nil && m.Source.Line > strings.Count(string(file.Data), "\n")+2 {
					t.Errorf("%+v lies behind the end", m)
				}
			}
		}
		set, err := loader.Load(files, nil)
		var refused Mistakes
		if errors.As(err, &refused); refused.Error() != r.Mistakes.Error() || (set == nil) != (err != nil) {
			t.Errorf("Load says %v, Check %v", err, r.Mistakes)
		}
		if set != nil && (set.Digest() != r.Set.Digest() || set.Warnings().Error() != r.Warnings.Error()) {
			t.Error("it is another Set the second time")
		}
	})
}
