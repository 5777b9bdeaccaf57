package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	kjson "sigs.k8s.io/json"
)

const (
	settingsFile    = "writ.yaml"
	settingsGroup   = "writ.dev"
	settingsVersion = "writ.dev/v1alpha1"
	settingsKind    = "Cluster"
)

// DefaultSettings is the writ.yaml of a tree that has none.
func DefaultSettings() Cluster {
	var c Cluster
	c.APIVersion, c.Kind = settingsVersion, settingsKind
	c.fill()
	return c
}

// fill sets every field that is empty to its default.
func (c *Cluster) fill() {
	for field, value := range map[*string]string{
		&c.Spec.PodCIDR:       "10.244.0.0/16",
		&c.Spec.ServiceCIDR:   "10.96.0.0/16",
		&c.Spec.ClusterDomain: "cluster.local",
		&c.Spec.NodePorts:     "30000-32767",
	} {
		if *field == "" {
			*field = value
		}
	}
	c.Spec.Guards.MaxDeletes.fill()
	for i := range c.Spec.Charts {
		if chart := &c.Spec.Charts[i]; chart.Namespace == "" {
			chart.Namespace = "default"
		}
	}
}

// readSettings reads the writ.yaml of the followed folder.
func readSettings(name string, data []byte) (Cluster, Mistakes) {
	r := reader{file: &file{path: name}}
	settings := r.settings(data)
	r.count()
	return settings, r.mistakes
}

// settings are those of a file, or the defaults where there are mistakes in its form.
func (r reader) settings(data []byte) Cluster {
	data = bytes.TrimPrefix(data, byteOrderMark)
	if what := checkText(data); what != "" {
		r.unreadable(0, what)
		return DefaultSettings()
	}
	chunks := splitYAML(data)
	if len(chunks) == 0 || r.tooLong(chunks[0]) {
		return DefaultSettings()
	}
	if len(chunks) > 1 {
		r.unreadable(chunks[1].line, "holds more than one document")
	}
	loc := &locator{chunk: chunks[0]}
	converted, problems := toJSON(chunks[0].text)
	for _, p := range problems {
		r.unreadable(chunks[0].line+max(p.line-1, 0), p.what)
	}
	if converted == nil {
		return DefaultSettings()
	}
	at := func(field string) func() int { return func() int { return loc.line(field) } }
	var settings Cluster
	strict, err := kjson.UnmarshalStrict(converted, &settings, kjson.DisallowUnknownFields)
	for _, p := range strictProblems(strict) {
		r.report(Ref{}, at(p.path), p.what)
	}
	if err != nil {
		r.settingsTypes(converted, at)
		if len(r.mistakes) == 0 {
			r.report(Ref{}, loc.begin, strings.TrimPrefix(err.Error(), "json: "))
		}
		return DefaultSettings()
	}
	if settings.APIVersion != settingsVersion || settings.Kind != settingsKind {
		r.report(Ref{}, loc.begin, fmt.Sprintf("must have apiVersion: %s and kind: %s", settingsVersion, settingsKind))
	}
	settings.fill()
	for _, p := range settings.validate() {
		r.report(Ref{}, at(p.path), p.String())
	}
	return settings
}

// settingsTypes reports every value of a wrong type.
func (r reader) settingsTypes(converted []byte, at func(field string) func() int) {
	var value any
	if decodeNumbers(converted, &value) != nil {
		return
	}
	wrong, unknown := typeProblems(value, reflect.TypeFor[Cluster](), false)
	for _, p := range wrong {
		r.report(Ref{}, at(p.path), p.String())
	}
	for _, p := range unknown {
		r.report(Ref{}, at(p.path), p.what)
	}
}

// validate checks settings that are filled in.
func (c *Cluster) validate() []problem {
	var problems []problem
	ranges := make(map[string]netip.Prefix)
	for _, r := range []struct{ path, text string }{{"spec.podCIDR", c.Spec.PodCIDR}, {"spec.serviceCIDR", c.Spec.ServiceCIDR}} {
		prefix, err := parseRange(r.text)
		if err != nil {
			problems = append(problems, problem{r.path, err.Error()})
			continue
		}
		ranges[r.path] = prefix
	}
	if len(ranges) == 2 && ranges["spec.podCIDR"].Overlaps(ranges["spec.serviceCIDR"]) {
		problems = append(problems, problem{"spec.serviceCIDR", fmt.Sprintf("%s overlaps the pods' range %s", c.Spec.ServiceCIDR, c.Spec.PodCIDR)})
	}
	for _, what := range validation.IsDNS1123Subdomain(c.Spec.ClusterDomain) {
		problems = append(problems, problem{"spec.clusterDomain", what})
	}
	problems = append(problems, c.Spec.Guards.MaxDeletes.validate()...)
	problems = append(problems, c.Spec.Suspend.validate()...)
	problems = append(problems, c.Spec.Metrics.validate()...)
	if _, _, err := c.Spec.NodePortRange(); err != nil {
		problems = append(problems, problem{"spec.nodePorts", err.Error()})
	}
	return append(problems, c.chartProblems()...)
}

func parseRange(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return prefix, fmt.Errorf("%q is not a range such as 10.244.0.0/16", text)
	case !prefix.Addr().Is4():
		return prefix, fmt.Errorf("%s is not an IPv4 range; IPv6 is not supported yet", text)
	case prefix != prefix.Masked():
		return prefix, fmt.Errorf("%s has bits set beyond its length; write %s", text, prefix.Masked())
	case prefix.Bits() < 8 || prefix.Bits() > 28:
		return prefix, fmt.Errorf("%s must have a length between 8 and 28", text)
	}
	return prefix, nil
}

// NodePortRange is the first and last node port, both included.
func (s ClusterSpec) NodePortRange() (first, last int, err error) {
	a, b, found := strings.Cut(s.NodePorts, "-")
	first, errFirst := strconv.Atoi(a)
	last, errLast := strconv.Atoi(b)
	if !found || errors.Join(errFirst, errLast) != nil {
		return 0, 0, fmt.Errorf("%q is not a range such as 30000-32767", s.NodePorts)
	}
	if first < 1 || last > 65535 || first > last {
		return 0, 0, fmt.Errorf("%s must lie within 1-65535, the smaller port first", s.NodePorts)
	}
	return first, last, nil
}
