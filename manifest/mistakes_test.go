package manifest

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestLoad_MessyTree(t *testing.T) {
	text, err := os.ReadFile("testdata/messy.txt")
	if err != nil {
		t.Fatal(err)
	}
	got := mistakesOf(t, tree(t, string(text))) + "\n"
	golden(t, "testdata/messy.golden", got)
	if strings.Contains(got, "hunter2") || strings.Contains(got, "1234") {
		t.Error("a secret's value is shown")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs, got:\n%s", name, got)
	}
}

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
}

func TestLoad_Accepts(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"nothing", "-- README.md --\nhello"},
		{"a byte order mark", "-- a.yaml --\n\xef\xbb\xbf" + configMap("a")},
		{"empty documents", "-- a.yaml --\n---\n---\n# only a comment\n---\n" + configMap("a") + "---\n"},
		{"windows line ends", "-- a.yaml --\n" + strings.ReplaceAll(configMap("a")+"---\n"+configMap("b"), "\n", "\r\n")},
		{"a directive and an end marker", "-- a.yaml --\n%YAML 1.1\n---\n" + configMap("a") + "...\n"},
		{"content beside the marker", "-- a.yaml --\n--- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---  # comment\n" + configMap("b")},
		{"anchors", "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: &l {a: b}, annotations: *l}\n"},
		{"a key that overrides one taken over", "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: &l {a: b, c: d}, annotations: {<<: *l, a: x}}\ndata:\n  <<: [{a: b}, {a: c, <<: {d: e}}]\n  d: f\n"},
		{"an anchor in a block", "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    a: &b\n    --- not a marker\n    *c\n"},
		{"a list", "-- a.yaml --\napiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\nitems: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]\n"},
		{"a list of one kind", "-- a.yaml --\napiVersion: v1\nkind: ConfigMapList\nitems: [{metadata: {name: a}}]\n"},
		{"several json values", "-- a.json --\n{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"a\"}}\n{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"b\"}}"},
		{"hidden files", "-- .github/workflows/ci.yaml --\non: push\n-- .sops.yaml --\ncreation_rules: []"},
		{"ignored files", "-- .writignore --\n# comment\nvalues.yaml\n/docs/\n!keep/values.yaml\n-- values.yaml --\na: b\n-- docs/a.yaml --\na: b\n-- x/docs/ok.yaml --\n" + configMap("a")},
		{"local config", "-- a.yaml --\napiVersion: example.com/v1\nkind: Anything\nmetadata: {annotations: {config.kubernetes.io/local-config: \"true\"}}\n"},
		{"custom resources without a definition", "-- a.yaml --\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: default}\nspec: {x: [1, 2.5, true, null, {a: b}]}\n"},
		{"objects in namespaces that are always there", "-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: kube-system}\n"},
		{"a headless service", "-- a.yaml --\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: None, selector: {a: b}, ports: [{port: 80}]}\n"},
		{"a service with an address", "-- a.yaml --\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: 10.96.0.7, ports: [{port: 80}]}\n"},
		{"a privileged container", "-- a.yaml --\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: c, securityContext: {privileged: true}}]}\n"},
		{"empty settings", "-- writ.yaml --\n# nothing\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := mistakesOf(t, tree(t, test.text)); got != "" {
				t.Errorf("mistakes:\n%s", got)
			}
		})
	}
}

// rolling is a Deployment with its bounds on lines 6 and 7.
func rolling(surge, unavailable string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  strategy: {rollingUpdate: {\n    maxSurge: " + surge + ",\n    maxUnavailable: " + unavailable +
		"}}\n  selector: {matchLabels: {a: b}}\n  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: c}]}}\n"
}

func TestLoad_Refuses(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	wide := "a: &a \"" + strings.Repeat("x", 100_000) + "\"\nb: [" + strings.Repeat("*a, ", 10_000) + "]\n"
	for _, test := range []struct{ name, file, text, want string }{
		{"a file for a program", "a.yaml", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n", "a.yaml:1: KubeletConfiguration: apiVersion: kubelet.config.k8s.io/v1beta1 KubeletConfiguration configures a program of Kubernetes and is no object of a cluster; list the file in .writignore"},
		{"a part of the replicas", "a.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {strategy: {rollingUpdate: {maxSurge: 0.25}}, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: c}]}}}\n", `a.yaml:4: Deployment/default/a: spec.strategy.rollingUpdate.maxSurge: must be a whole number or a string, found number 0.25 (write "25%")`},
		{"a rollout that cannot begin", "a.yaml", rolling("0", "0"), "a.yaml:7: Deployment/default/a: spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"},
		{"a rollout that cannot begin, in per cent", "a.yaml", rolling("0%", "0%"), "a.yaml:7: Deployment/default/a: spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"},
		{"a rollout that cannot begin, in both", "a.yaml", rolling("0", "0%"), "a.yaml:7: Deployment/default/a: spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"},
		{"four dashes", "a.yaml", configMap("a") + "----\n# the next one\n" + configMap("b"), "a.yaml:4: a line of four or more dashes begins no document, write three"},
		{"a key that is overridden by one taken over", "a.yaml", configMap("a") + "data:\n  x: a\n  <<: {x: b}\n", `a.yaml:6: ConfigMap/default/a: key "x" already set in map; write << before it`},
		{"an alias bomb", "a.yaml", configMap("a") + bomb, "a.yaml:1: aliases make the document larger than 16 MiB"},
		{"a wide alias bomb", "a.yaml", configMap("a") + wide, "a.yaml:1: aliases make the document larger than 16 MiB"},
		{"an alias of itself", "a.yaml", "a: &a [*a]\n", "a.yaml:1: aliases make the document larger than 16 MiB"},
		{"deep nesting", "a.yaml", configMap("a") + "x: " + strings.Repeat("[", 300) + strings.Repeat("]", 300), "a.yaml:1: is nested 301 levels deep, at most 200 are allowed"},
		{"very deep nesting", "a.yaml", configMap("a") + "x: " + strings.Repeat("[", 100_000), "a.yaml:4: exceeded max depth of 10000"},
		{"deep nesting in json", "a.json", strings.Repeat("[", 100_000), "a.json:1: not valid JSON: invalid character '[' exceeded max depth"},
		{"a large object", "a.yaml", configMap("a") + "data: {x: \"" + strings.Repeat("x", 1600<<10) + "\"}", "a.yaml:1: ConfigMap/default/a: is 1600 KiB large, at most 1536 KiB are allowed"},
		{"a large file", "a.yaml", strings.Repeat("#\n", 3<<20), "a.yaml: is larger than 4096 KiB"},
		{"many documents", "a.yaml", strings.Repeat("a\n---\n", 10_001), "a.yaml: holds 10001 documents, at most 10000 are allowed"},
		{"a binary file", "a.yaml", "a\x00b", "a.yaml: holds a zero byte; it is not a text file"},
		{"UTF-16", "a.yaml", "\xff\xfea\x00", "a.yaml: is written in UTF-16; save it as UTF-8"},
		{"Latin-1", "a.yaml", "a: \xe4", "a.yaml: is not valid UTF-8"},
		{"a namespace that is not declared", "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: nowhere\n",
			"a.yaml:5: ConfigMap/nowhere/a: metadata.namespace: namespace \"nowhere\" is not declared in this commit; add a Namespace manifest"},
		{"twice in one file", "a.yaml", configMap("a") + "---\n" + configMap("a"), "a.yaml:5: ConfigMap/default/a: is declared twice, first in a.yaml:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := mistakesOf(t, fstest.MapFS{test.file: {Data: []byte(test.text)}})
			if first, _, _ := strings.Cut(got, "\n"); first != test.want {
				t.Errorf("got:\n%.2000s\nwant:\n%s", got, test.want)
			}
		})
	}
}

func TestLoad_Links(t *testing.T) {
	files := tree(t, "-- real/a.yaml --\n"+configMap("a")+"-- real/b.yaml --\n"+configMap("b"))
	link := func(name, target string) {
		files[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink}
	}
	link("apps/versions", "../real")
	if set, err := (Loader{Folder: "apps"}).Load(files, nil); err != nil || set.Len() != 2 {
		t.Errorf("a link to a folder outside of the followed one: %v", err)
	}
	link("apps/nowhere.yaml", "../gone.yaml")
	_, err := Loader{Folder: "apps"}.Load(files, nil)
	if got, want := fmt.Sprint(err), "apps/nowhere.yaml: "+deadLink; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	delete(files, "apps/nowhere.yaml")
	link("apps/notes", "/etc")
	_, err = Loader{Folder: "apps"}.Load(files, nil)
	if got, want := fmt.Sprint(err), "apps/notes: "+deadLink; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	delete(files, "apps/notes")
	files["apps/module"] = &fstest.MapFile{Mode: fs.ModeDir | fs.ModeIrregular}
	_, err = Loader{Folder: "apps"}.Load(files, nil)
	if got, want := fmt.Sprint(err), "apps/module: is a submodule"; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLoad_Warns(t *testing.T) {
	set := mustLoad(t, tree(t, `-- a.yaml --
apiVersion: v1
kind: Pod
metadata:
  name: a
  uid: abc
  creationTimestamp: null
  finalizers: []
spec:
  containers:
  - name: c
    image: c
    env:
    - {name: A, value: "1"}
    - {name: A, value: "2"}
status: {phase: nonsense, no: such}
`), nil)
	want := `a.yaml:5: Pod/default/a: metadata.uid: is set by the cluster and was dropped
a.yaml:6: Pod/default/a: metadata.creationTimestamp: is set by the cluster and was dropped
a.yaml:7: Pod/default/a: metadata.finalizers: is empty and was dropped
a.yaml:14: Pod/default/a: spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply
a.yaml:15: Pod/default/a: status: is set by the cluster and was dropped`
	if got := set.Warnings().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	next := mustLoad(t, tree(t, "-- b.yaml --\n"+configMap("b")), set)
	if got := next.Warnings().Error(); got != "" {
		t.Errorf("warnings of a file that is gone: %s", got)
	}
}

func TestLoad_ReadErrorIsNoMistake(t *testing.T) {
	files := hashed{opened: new([]string)}
	if _, err := Load(files, nil); err == nil {
		t.Error("no error for a tree without a root")
	} else if _, is := err.(Mistakes); is {
		t.Errorf("%v is Mistakes: an unreadable tree says nothing about its content", err)
	}
}

func TestLoad_ModifiesNothing(t *testing.T) {
	first := mustLoad(t, everyKind(t), nil)
	before := describeSet(first)
	var encoded [][]byte
	for item := range first.All() {
		old := item.Object.DeepCopyObject().(Object)
		Default(item.Object)
		Validate(item.Object)
		ValidateUpdate(item.Object, old)
		NotYet(item.Object)
		Template(item.Object)
		Selector(item.Object)
		data, _ := Encode(old)
		encoded = append(encoded, data)
	}
	i := 0
	for item := range first.All() {
		if data, _ := Encode(item.Object); !bytes.Equal(data, encoded[i]) {
			t.Errorf("%s was modified", item.Ref)
		}
		i++
	}
	second := mustLoad(t, everyKind(t), first)
	third := mustLoad(t, everyKind(t), nil)
	if describeSet(second) != before || describeSet(third) != before || describeSet(first) != before {
		t.Error("loading the same tree again gives something else")
	}
}
