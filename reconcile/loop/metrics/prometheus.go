package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"writ/manifest"
	"writ/state"
)

const (
	answerLimit = 4 << 20 // bytes of an answer
	wordsLimit  = 200     // bytes of a server's own words in a message
)

// ask asks Prometheus for a metric.
func (c *Collector) ask(ctx context.Context, w *state.World, hpa *autoscalingv2.HorizontalPodAutoscaler, m *autoscalingv2.MetricSpec, pods []*state.Record) ([]state.Sample, error) {
	settings := w.Adopted().Settings.Spec.Metrics
	if settings == nil || settings.Prometheus == nil {
		return nil, errors.New("no server of metrics is set: spec.metrics.prometheus in writ.yaml")
	}
	names := make([]string, len(pods))
	for i, p := range pods {
		names[i] = p.Ref.Name
	}
	text, perPod, err := question(settings.Prometheus, hpa.Namespace, m, names)
	if err != nil {
		return nil, err
	}
	from, err := c.server(w, settings.Prometheus)
	if err != nil {
		return nil, err
	}
	series, err := from.query(ctx, settings.Prometheus.URL, text)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	var samples []state.Sample
	for _, s := range series {
		value, ok := s.value()
		pod := s.Metric["pod"]
		if !ok || perPod && !known[pod] {
			continue
		}
		if !perPod {
			pod = ""
		}
		value.Pod = pod
		samples = append(samples, value)
	}
	return samples, nil
}

// answer is that of Prometheus' api/v1/query.
type answer struct {
	Status, Error string
	Data          struct {
		ResultType string
		Result     json.RawMessage
	}
}

// one is one series of a vector.
type one struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"` // seconds, and the value as text
}

// value is a series' value in thousandths; not a number is none.
func (o *one) value() (state.Sample, bool) {
	text, _ := o.Value[1].(string)
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return state.Sample{}, false
	}
	s := state.Sample{Value: math.MaxInt64}
	if n *= 1000; n < math.MaxInt64 {
		s.Value = int64(max(n, math.MinInt64))
	}
	if at, ok := o.Value[0].(float64); ok {
		s.At = time.UnixMilli(int64(at * 1000)).UTC()
	}
	return s, true
}

// query asks a server. Nothing of an answer that is not Prometheus' own words is told.
func (s *server) query(ctx context.Context, base, text string) ([]one, error) {
	address, err := url.JoinPath(base, "api/v1/query")
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", base, err)
	}
	form := url.Values{"query": {text}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", base, err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	s.authorize(r)
	response, err := s.client.Do(r)
	if err != nil {
		if e := new(url.Error); errors.As(err, &e) {
			err = e.Err
		}
		return nil, fmt.Errorf("ask %s: %w", base, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask %s: %w", base, err)
	case len(body) > answerLimit:
		return nil, fmt.Errorf("ask %s: the answer is larger than %d MiB", base, answerLimit>>20)
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("ask %s: %s, not an answer of Prometheus", base, response.Status)
	}
	if a.Status != "success" {
		return nil, fmt.Errorf("ask %s: %s: %.*q", base, response.Status, wordsLimit, a.Error)
	}
	return a.series(base)
}

func (a *answer) series(base string) (series []one, err error) {
	switch a.Data.ResultType {
	case "vector":
		err = json.Unmarshal(a.Data.Result, &series)
	case "scalar":
		series = make([]one, 1)
		err = json.Unmarshal(a.Data.Result, &series[0].Value)
	default:
		return nil, fmt.Errorf("ask %s: the query gives a %q, not an instant vector or a scalar", base, a.Data.ResultType)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: its answer cannot be read: %w", base, err)
	}
	return series, nil
}

// transport finds Services of the cluster: the node's own resolver does not know them.
func transport(store Store) http.RoundTripper {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		w := store.World()
		if ref, ok := service(w, host); ok {
			r := w.Get(ref)
			if r == nil || r.Allocation == nil || len(r.Allocation.ClusterIPs) == 0 || r.Allocation.ClusterIPs[0] == "None" {
				return nil, fmt.Errorf("%s has no cluster IP", ref)
			}
			address = net.JoinHostPort(r.Allocation.ClusterIPs[0], port)
		}
		return dialer.DialContext(ctx, network, address)
	}
	return t
}

// service is the Service that a name of the cluster stands for.
func service(w *state.World, host string) (manifest.Ref, bool) {
	host = strings.TrimSuffix(strings.TrimSuffix(host, "."), "."+w.Adopted().Settings.Spec.ClusterDomain)
	parts := strings.Split(host, ".")
	if len(parts) != 3 || parts[2] != "svc" {
		return manifest.Ref{}, false
	}
	return manifest.ServiceRef(parts[1], parts[0]), true
}
