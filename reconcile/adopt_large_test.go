package reconcile_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"

	"writ/fixtures/scenario"
	"writ/reconcile"
)

// large is the documents of 420 small applications in 20 namespaces: 2,120 objects.
func large() [][]string {
	var files [][]string
	for n := range 20 {
		ns := fmt.Sprintf("team-%02d", n)
		files = append(files, []string{fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", ns)})
		for a := range 21 {
			app := fmt.Sprintf("app-%02d", a)
			files = append(files, []string{
				fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s, namespace: %s}\nspec:\n  replicas: %d\n  selector: {matchLabels: {app: %[1]s}}\n  template:\n    metadata: {labels: {app: %[1]s}}\n"+
					"    spec:\n      containers:\n      - name: c\n        image: img:1\n        ports: [{containerPort: 80}]\n        resources: {requests: {cpu: 0.001, memory: 1000Ki}}\n        envFrom: [{configMapRef: {name: %[1]s}}]\n", app, ns, max(0, 2-a)),
				fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s}\nspec: {selector: {app: %[1]s}, ports: [{port: 80}]}\n", app, ns),
				fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s, labels: {b: beta, a: alpha}}\ndata: {MODE: \"on\", TEXT: \"a\\nb\\n\"}\n", app, ns),
				fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\nstringData: {key: %[1]s}\n", app, ns),
				fmt.Sprintf("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s, namespace: %s}\n", app, ns),
			})
		}
	}
	return files
}

// written is files of documents as a tree; name and text say how.
func written(files [][]string, name func(i int) string, text func(doc string) string) fstest.MapFS {
	tree := fstest.MapFS{"README.md": {Data: []byte("# apps\n")}}
	for i, docs := range files {
		parts := make([]string, len(docs))
		for k, d := range docs {
			parts[k] = text(d)
		}
		tree[name(i)] = &fstest.MapFile{Data: []byte(strings.Join(parts, "\n---\n"))}
	}
	return tree
}

// However a repository of a team is tidied up, nothing is done as long as it declares the same.
func TestAdopt_LargeTreeTidiedUpChangesNothing(t *testing.T) {
	asIs := func(doc string) string { return doc }
	plain := func(i int) string { return fmt.Sprintf("apps/%d/all.yaml", i) }
	files := large()
	toJSON := func(doc string) string {
		data, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetIndent("", "   ")
		if err := e.Encode(json.RawMessage(data)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	sorted := func(doc string) string { // keys in another order, block style, comments, a quantity in another form
		data, err := yaml.YAMLToJSON([]byte(doc))
		if err == nil {
			data, err = yaml.JSONToYAML(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		return "# reviewed\n" + strings.ReplaceAll(string(data), "cpu: 0.001", "cpu: 1m # a little")
	}
	reversed := slices.Clone(files)
	for i := range reversed {
		reversed[i] = slices.Clone(reversed[i])
		slices.Reverse(reversed[i])
	}
	slices.Reverse(reversed)
	var each [][]string
	for _, docs := range files {
		for _, d := range docs {
			each = append(each, []string{d})
		}
	}

	c := scenario.NewCluster()
	mustCommit(t, c, written(files, plain, asIs))
	if n := c.Set.Len(); n < 2000 {
		t.Fatalf("%d objects, want at least 2000", n)
	}
	before, digest := dump(t, c.World), c.Set.Digest()
	for _, step := range []struct {
		name string
		tree fstest.MapFS
	}{
		{"committed again", written(files, plain, asIs)},
		{"renamed", written(files, func(i int) string { return fmt.Sprintf("apps/%d/app.yml", i) }, asIs)},
		{"moved", written(files, func(i int) string { return fmt.Sprintf("teams/%d/%d/x.yaml", i%7, i) }, asIs)},
		{"in other orders", written(reversed, plain, asIs)},
		{"one file for each", written(each, plain, asIs)},
		{"written otherwise", written(files, plain, sorted)},
		{"as JSON", written(each, func(i int) string { return fmt.Sprintf("%d.json", i) }, toJSON)},
		{"as at first", written(files, plain, asIs)},
	} {
		plan, err := c.Commit(step.tree, reconcile.Commit{Subject: step.name})
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if n := len(plan.Batch.Puts) + len(plan.Batch.Deletes); n != 0 || plan.Batch.Adopt == nil || len(plan.Events) != 0 {
			t.Errorf("%s: %d steps, want none:\n%.2000s", step.name, n, plan)
		}
		if got := c.Set.Digest(); got != digest {
			t.Errorf("%s: the digest of what is rendered became %s", step.name, got)
		}
		if c.World.Adopted().Subject != step.name {
			t.Errorf("%s: adopted is %q", step.name, c.World.Adopted().Subject)
		}
		settle(t, c)
	}
	if after := dump(t, c.World); after != before {
		t.Error("the records of the World changed")
	}
}
