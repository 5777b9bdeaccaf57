package metrics

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
)

// The queries of metrics that writ.yaml has none for: series of the metric's own name.
const (
	podsQuery      = `sum by (pod) ({__name__="$(metric)",namespace="$(namespace)",pod=~"$(pods)",$(selector)})`
	objectQuery    = `sum({__name__="$(metric)",namespace="$(namespace)",$(kind)="$(name)",$(selector)})`
	namespaceQuery = `sum({__name__="$(metric)",namespace="$(namespace)",$(selector)})`
	externalQuery  = `{__name__="$(metric)",$(selector)}`
)

// question is the PromQL for a metric of an autoscaler, and whether each Pod has a value of its own.
func question(p *manifest.Prometheus, namespace string, m *autoscalingv2.MetricSpec, pods []string) (text string, perPod bool, err error) {
	var id autoscalingv2.MetricIdentifier
	values := map[string]string{"namespace": within(namespace), "kind": "", "name": ""}
	switch {
	case m.Pods != nil:
		id, text, perPod = m.Pods.Metric, podsQuery, true
	case m.Object != nil:
		about := m.Object.DescribedObject
		id, text = m.Object.Metric, objectQuery
		values["kind"], values["name"] = label(strings.ToLower(about.Kind)), within(about.Name)
		if about.Kind == "Namespace" {
			text = namespaceQuery
		}
	case m.External != nil:
		id, text = m.External.Metric, externalQuery
	default:
		return "", false, fmt.Errorf("metrics of type %s are not asked for", m.Type)
	}
	if q := p.Find(id.Name, string(m.Type)); q != nil {
		text = q.Query
	}
	if values["selector"], err = matchers(id.Selector); err != nil {
		return "", false, err
	}
	quoted := make([]string, len(pods))
	for i, name := range pods {
		quoted[i] = regexp.QuoteMeta(name)
	}
	values["metric"], values["pods"] = within(id.Name), within(strings.Join(quoted, "|"))
	return manifest.Placeholder().ReplaceAllStringFunc(text, func(name string) string { return values[name[2:len(name)-1]] }), perPod, nil
}

// within is text inside the quotes of PromQL.
func within(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

// label makes a name one of a label of Prometheus, as its discovery does.
func label(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, name)
}

// matchers are a metric's selector in PromQL.
func matchers(s *metav1.LabelSelector) (string, error) {
	if s == nil {
		return "", nil
	}
	if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
		return "", err
	}
	var all []string
	for k, v := range s.MatchLabels {
		all = append(all, label(k)+`="`+within(v)+`"`)
	}
	slices.Sort(all)
	for _, e := range s.MatchExpressions {
		values := make([]string, len(e.Values))
		for i, v := range e.Values {
			values[i] = regexp.QuoteMeta(v)
		}
		any := `"` + within(strings.Join(values, "|")) + `"`
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			all = append(all, label(e.Key)+"=~"+any)
		case metav1.LabelSelectorOpNotIn:
			all = append(all, label(e.Key)+"!~"+any)
		case metav1.LabelSelectorOpExists:
			all = append(all, label(e.Key)+`!=""`)
		case metav1.LabelSelectorOpDoesNotExist:
			all = append(all, label(e.Key)+`=""`)
		default:
			return "", errors.New("the metric's selector has an unknown operator " + string(e.Operator))
		}
	}
	return strings.Join(all, ","), nil
}
