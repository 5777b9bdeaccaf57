package manifest

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestSettings_Metrics(t *testing.T) {
	for _, tt := range []struct{ name, spec, want string }{
		{"none", "{}", ""},
		{"an address", "{metrics: {prometheus: {url: 'http://prometheus.monitoring.svc:9090'}}}", ""},
		{"a query", "{metrics: {prometheus: {url: 'https://p/path', queries: [{metric: m, type: Pods, query: 'sum by (pod) (rate(m{namespace=\"$(namespace)\",pod=~\"$(pods)\"}[1m]))'}]}}}", ""},
		{"no address", "{metrics: {prometheus: {}}}", `spec.metrics.prometheus.url: "" is not an address`},
		{"another scheme", "{metrics: {prometheus: {url: 'file:///etc'}}}", `spec.metrics.prometheus.url: "file:///etc" is not an address`},
		{"a password", "{metrics: {prometheus: {url: 'http://a:b@p'}}}", `spec.metrics.prometheus.url: must be scheme, host and path only`},
		{"a secret", "{metrics: {prometheus: {url: 'https://p', secret: monitoring/prometheus}}}", ""},
		{"a secret nowhere", "{metrics: {prometheus: {url: 'https://p', secret: prometheus}}}", `spec.metrics.prometheus.secret: "prometheus" is not NAMESPACE/NAME of a Secret`},
		{"a secret of no name", "{metrics: {prometheus: {url: 'https://p', secret: 'a/b/c'}}}", `spec.metrics.prometheus.secret: "a/b/c" is not NAMESPACE/NAME of a Secret`},
		{"another placeholder", "{metrics: {prometheus: {url: 'http://p', queries: [{metric: m, query: 'x{a=\"$(podes)\"}'}]}}}", `spec.metrics.prometheus.queries[0].query: $(podes) is none of $(metric)`},
		{"another type", "{metrics: {prometheus: {url: 'http://p', queries: [{metric: m, type: Pod, query: x}, {query: x}, {metric: o}]}}}",
			`queries[0].type: "Pod" must be Pods, Object or External` + "\n" + "queries[1].metric: is missing" + "\n" + "queries[2].query: is missing"},
	} {
		_, mistakes := readSettings("writ.yaml", []byte("apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: "+tt.spec+"\n"))
		var lines []string
		for _, m := range mistakes {
			lines = append(lines, m.String())
		}
		got := strings.Join(lines, "\n")
		for _, want := range strings.Split(tt.want, "\n") {
			if !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%s: got %q, want %q", tt.name, got, want)
			}
		}
	}
	p := &Prometheus{Queries: []MetricQuery{{Metric: "m", Type: "Pods", Query: "a"}, {Metric: "m", Query: "b"}}}
	if q := p.Find("m", "Pods"); q == nil || q.Query != "a" {
		t.Errorf("query of Pods: %v", q)
	}
	if q := p.Find("m", "External"); q == nil || q.Query != "b" {
		t.Errorf("query of another type: %v", q)
	}
	if q := p.Find("n", "Pods"); q != nil {
		t.Errorf("query of another metric: %v", q)
	}
}

// The Secret that is named has to be there, with something to know each other by.
func TestLoad_MetricsSecret(t *testing.T) {
	const settings = "apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec:\n  metrics:\n    prometheus:\n      url: https://p\n      secret: default/prometheus\n"
	const at = "writ.yaml:7: spec.metrics.prometheus.secret: Secret/default/prometheus "
	for data, want := range map[string]string{
		"{token: x}":                           "",
		"{ca.crt: x}":                          "",
		"{username: x, password: v}":           "",
		"{token: x, ca.crt: v}":                "",
		"{}":                                   at + "has none of token, username and password, ca.crt",
		"{username: x}":                        at + "has one of username and password",
		"{password: x, token: v}":              at + "has one of username and password",
		"{username: x, password: v, token: z}": at + "has both a token and a username",
		"":                                     at + "is not declared in this commit",
		"[no]":                                 "stringData", // a mistake of its own, and said once
	} {
		tree := fstest.MapFS{"writ.yaml": {Data: []byte(settings)}, "other.yaml": {Data: []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n")}}
		if data != "" {
			tree["secret.yaml"] = &fstest.MapFile{Data: []byte("{apiVersion: v1, kind: Secret, metadata: {name: prometheus}, stringData: " + data + "}\n")}
		}
		_, err := Load(tree, nil)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: refused: %v", data, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: got %v, want %s", data, err, want)
		}
	}
}
