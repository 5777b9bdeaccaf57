package manifest

import (
	"strings"
	"testing"
)

func TestSettings_Metrics(t *testing.T) {
	for _, tt := range []struct{ name, spec, want string }{
		{"none", "{}", ""},
		{"an address", "{metrics: {prometheus: {url: 'http://prometheus.monitoring.svc:9090'}}}", ""},
		{"a query", "{metrics: {prometheus: {url: 'https://p/path', queries: [{metric: m, type: Pods, query: 'sum by (pod) (rate(m{namespace=\"$(namespace)\",pod=~\"$(pods)\"}[1m]))'}]}}}", ""},
		{"no address", "{metrics: {prometheus: {}}}", `spec.metrics.prometheus.url: "" is not an address`},
		{"another scheme", "{metrics: {prometheus: {url: 'file:///etc'}}}", `spec.metrics.prometheus.url: "file:///etc" is not an address`},
		{"a password", "{metrics: {prometheus: {url: 'http://a:b@p'}}}", `spec.metrics.prometheus.url: must be scheme, host and path only`},
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
