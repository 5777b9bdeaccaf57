package schema_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"writ/manifest"
	"writ/manifest/schema"
)

// full has every field there is.
const full = `apiVersion: writ.dev/v1alpha1
kind: Cluster
spec:
  podCIDR: 10.1.0.0/16
  serviceCIDR: 10.2.0.0/16
  clusterDomain: blue.example
  nodePorts: 30000-30100
  guards:
    maxDeletes:
      objects: 5
      percent: 10
  suspend:
    reason: holidays
    until: "2027-01-31T18:00:00Z"
  signers:
  - path: apps/shop/**
    keys: [ssh-ed25519 AAAA]
    allowPrivileged: true
  metrics:
    prometheus:
      url: http://prometheus.monitoring.svc:9090
      secret: default/prometheus
      queries:
      - metric: requests
        type: Pods
        query: sum by (pod) (rate(requests_total{namespace="$(namespace)",pod=~"$(pods)"}[1m]))
  charts:
  - name: here
    namespace: web
    path: charts/here
    valueFiles: [values.yaml]
    values: {replicas: 2, image: {tag: "1"}}
    skipCRDs: true
    apiVersions: [example.com/v1]
  - name: fetched
    repository: https://charts.example
    chart: fetched
    version: 1.2.3
    digest: sha256:0123456789012345678901234567890123456789012345678901234567890123
`

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(schema.Settings())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("writ.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("writ.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func accepts(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(value)
}

// anyKey finds nothing wrong with keys.
type anyKey struct{}

func (anyKey) Check(manifest.Signer) error                 { return nil }
func (anyKey) Covers(manifest.Signer, string, string) bool { return false }

// What the schema says of a file is what reading it says.
func TestSettings(t *testing.T) {
	s := compiled(t)
	for _, c := range []struct {
		name, old, now string
		fine           bool
	}{
		{"everything", "", "", true},
		{"no spec", full[strings.Index(full, "spec:"):], "", true},
		{"one limit", "      objects: 5\n", "", true},
		{"an unknown field", "  nodePorts:", "  nodePort:", false},
		{"an unknown field in an element", "    namespace: web", "    namespaces: web", false},
		{"an unknown field at the top", "kind: Cluster", "kind: Cluster\nmetadata: {name: a}", false},
		{"another kind", "kind: Cluster", "kind: Clusters", false},
		{"no kind", "kind: Cluster\n", "", false},
		{"a wrong type", "objects: 5", "objects: five", false},
		{"more than everything", "percent: 10", "percent: 101", false},
		{"below nothing", "objects: 5", "objects: -1", false},
		{"no reason", "    reason: holidays\n", "", false},
		{"an empty reason", "reason: holidays", "reason: ' '", false},
		{"a range that is none", "30000-30100", "30000", false},
		{"a server of metrics at no address", "http://prometheus", "prometheus", false},
		{"a secret in no namespace", "default/prometheus", "prometheus", false},
		{"a type of metric that is none", "type: Pods", "type: Pod", false},
		{"a chart from nowhere", "    path: charts/here\n", "", false},
		{"a chart from two places", "path: charts/here", "path: charts/here\n    repository: oci://x\n    version: 1.2.3", false},
		{"a chart without a version", "    version: 1.2.3\n", "", false},
		{"a digest of another kind", "sha256:", "md5:", false},
		{"a repository in the repository", "https://charts.example", "./charts", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.old != "" && strings.Count(full, c.old) != 1 {
				t.Fatalf("%q is %d times in the file", c.old, strings.Count(full, c.old))
			}
			text := strings.Replace(full, c.old, c.now, 1)
			if err := accepts(t, s, text); (err == nil) != c.fine {
				t.Errorf("the schema says %v", err)
			}
			r, err := manifest.Loader{Signing: anyKey{}}.Check(fstest.MapFS{"writ.yaml": {Data: []byte(text)}, "secret.yaml": {Data: []byte(credentials)}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			wrong := slices.DeleteFunc(r.Mistakes, func(m manifest.Mistake) bool { return strings.Contains(m.What, "has to be rendered") })
			if (len(wrong) == 0) != c.fine {
				t.Errorf("manifest says %v", wrong)
			}
		})
	}
}

// credentials is the Secret that the full example names.
const credentials = "{apiVersion: v1, kind: Secret, metadata: {name: prometheus}, stringData: {token: t}}\n"

// Every field has a description, and the full example has every field.
func TestSettings_Complete(t *testing.T) {
	var example any
	if err := yaml.Unmarshal([]byte(full), &example); err != nil {
		t.Fatal(err)
	}
	described := 0
	var look func(at string, n schema.Node, values []any)
	look = func(at string, n schema.Node, values []any) {
		if d, _ := n["description"].(string); len(d) < 10 || !strings.HasSuffix(d, ".") {
			t.Errorf("%s: description %q", at, d)
		}
		described++
		if len(values) == 0 {
			t.Errorf("%s is not in the example", at)
		}
		var inner []any
		if items, ok := n["items"].(schema.Node); ok {
			for _, v := range values {
				inner = append(inner, v.([]any)...)
			}
			look(at+"[]", items, inner)
		}
		fields, _ := n["properties"].(schema.Node)
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			inner = nil
			for _, v := range values {
				if m, ok := v.(map[string]any); ok && m[name] != nil {
					inner = append(inner, m[name])
				}
			}
			look(strings.TrimPrefix(at+"."+name, "."), fields[name].(schema.Node), inner)
		}
	}
	look("", schema.Settings(), []any{example})
	if n := schema.Rows(); described != n {
		t.Errorf("%d fields are described, and there are rows for %d", described, n)
	}
}
