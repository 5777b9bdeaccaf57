package manifest

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Metrics says where autoscalers get the metrics that no control group tells.
type Metrics struct {
	// Prometheus answers for metrics of types Pods, Object and External.
	Prometheus *Prometheus `json:"prometheus,omitempty"`
}

// Prometheus is a server that speaks the HTTP API of Prometheus.
type Prometheus struct {
	// URL is where its api/v1/query lies below. A host NAME.NAMESPACE.svc is a Service of the cluster.
	URL string `json:"url"`
	// Secret is NAMESPACE/NAME of a Secret with what the server asks for: token, or username and password; and ca.crt, the
	// certificates that it is known by.
	Secret string `json:"secret,omitempty"`
	// Queries are those of metrics that are not simply series of their name.
	Queries []MetricQuery `json:"queries,omitempty"`
}

// MetricQuery is how one metric is asked for.
type MetricQuery struct {
	// Metric is the name that autoscalers know it by.
	Metric string `json:"metric"`
	// Type is Pods, Object or External; empty for all of them.
	Type string `json:"type,omitempty"`
	// Query is PromQL with the placeholders of QueryPlaceholders. That of a metric of Pods gives one value for each,
	// by the label pod.
	Query string `json:"query"`
}

// Credentials is the Secret that is named; false for none.
func (p *Prometheus) Credentials() (Ref, bool) {
	namespace, name, ok := strings.Cut(p.Secret, "/")
	return SecretRef(namespace, name), ok
}

// Find is the query of a metric of a type, nil if there is none of its own.
func (p *Prometheus) Find(metric, kind string) *MetricQuery {
	for i := range p.Queries {
		if q := &p.Queries[i]; q.Metric == metric && (q.Type == "" || q.Type == kind) {
			return q
		}
	}
	return nil
}

// Placeholder matches what is replaced in a query.
func Placeholder() *regexp.Regexp { return regexp.MustCompile(`\$\([^)]*\)`) }

// QueryPlaceholders are the names that a query may have in $(NAME): the metric, the autoscaler's namespace, the matchers
// of the metric's selector, the names of the Pods as a regular expression, kind and name of the object.
func QueryPlaceholders() []string {
	return []string{"metric", "namespace", "selector", "pods", "kind", "name"}
}

const metricsSecret = "spec.metrics.prometheus.secret"

// metrics reports a Secret with credentials that is not declared, or has none.
func (l *loader) metrics(m *Metrics, objects []*parsed) {
	if m == nil || m.Prometheus == nil || l.unread {
		return
	}
	ref, ok := m.Prometheus.Credentials()
	if !ok || slices.ContainsFunc(l.broken, func(b declared) bool { return b.ref == ref }) {
		return
	}
	say := func(what string) {
		l.mistake(path.Join(l.Folder, settingsFile), l.settingsLine(metricsSecret), "%s: %s %s", metricsSecret, ref, what)
	}
	p := lookUp(objects, ref)
	if p == nil {
		say("is not declared in this commit")
		return
	}
	has := func(key string) bool { return len(p.Object.(*corev1.Secret).Data[key]) > 0 }
	switch {
	case has(corev1.ServiceAccountTokenKey) && has(corev1.BasicAuthUsernameKey):
		say("has both a token and a username")
	case has(corev1.BasicAuthUsernameKey) != has(corev1.BasicAuthPasswordKey):
		say("has one of username and password")
	case !has(corev1.ServiceAccountTokenKey) && !has(corev1.BasicAuthUsernameKey) && !has(corev1.ServiceAccountRootCAKey):
		say("has none of token, username and password, ca.crt")
	}
}

func (m *Metrics) validate() []problem {
	if m == nil || m.Prometheus == nil {
		return nil
	}
	var problems []problem
	u, err := url.Parse(m.Prometheus.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		problems = append(problems, problem{"spec.metrics.prometheus.url", fmt.Sprintf("%q is not an address such as http://prometheus.monitoring.svc:9090", m.Prometheus.URL)})
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		problems = append(problems, problem{"spec.metrics.prometheus.url", "must be scheme, host and path only"})
	}
	if ref, ok := m.Prometheus.Credentials(); m.Prometheus.Secret != "" && (!ok || len(validation.IsDNS1123Label(ref.Namespace)) > 0 || len(validation.IsDNS1123Subdomain(ref.Name)) > 0) {
		problems = append(problems, problem{metricsSecret, fmt.Sprintf("%q is not NAMESPACE/NAME of a Secret", m.Prometheus.Secret)})
	}
	for i := range m.Prometheus.Queries {
		problems = append(problems, m.Prometheus.Queries[i].validate(index("spec.metrics.prometheus.queries", i))...)
	}
	return problems
}

func (q *MetricQuery) validate(at string) []problem {
	var problems []problem
	if q.Metric == "" {
		problems = append(problems, problem{at + ".metric", "is missing"})
	}
	if !slices.Contains([]string{"", "Pods", "Object", "External"}, q.Type) {
		problems = append(problems, problem{at + ".type", fmt.Sprintf("%q must be Pods, Object or External", q.Type)})
	}
	if strings.TrimSpace(q.Query) == "" {
		problems = append(problems, problem{at + ".query", "is missing"})
	}
	for _, name := range Placeholder().FindAllString(q.Query, -1) {
		if !slices.Contains(QueryPlaceholders(), name[2:len(name)-1]) {
			problems = append(problems, problem{at + ".query", fmt.Sprintf("%s is none of $(%s)", name, strings.Join(QueryPlaceholders(), "), $("))})
		}
	}
	return problems
}
