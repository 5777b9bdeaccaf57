package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"writ/fixtures/scenario"
	"writ/reconcile"
	"writ/state"
)

// store is a World that measurements are applied to.
type store struct {
	mu    sync.Mutex
	c     *scenario.Cluster
	moved chan struct{}
	seen  chan state.Batch // every Batch that was applied
}

func (s *store) World() *state.World {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c.World
}

func (s *store) Changed(rev state.Revision) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c.World.Revision() > rev {
		past := make(chan struct{})
		close(past)
		return past
	}
	return s.moved
}

func (s *store) Propose(_ context.Context, b state.Batch) (state.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.c.Apply(b); err != nil {
		return 0, err
	}
	select {
	case s.seen <- b:
	default: // nobody looks
	}
	return s.c.World.Revision(), nil
}

const web = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: "web:1", resources: {requests: {cpu: 100m}}}, {name: side, image: "side:1", resources: {requests: {cpu: 100m}}}]}}}}
`

func scaled(metrics string) string {
	return web + "---\n{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, metrics: [" + metrics + "]}}\n"
}

// cluster runs two Pods, below an autoscaler with the metrics.
func cluster(t *testing.T, objects, settings string) *store {
	t.Helper()
	c := scenario.NewCluster()
	s := &store{c: c, moved: make(chan struct{}), seen: make(chan state.Batch, 100)}
	commit(t, s, objects, settings)
	return s
}

func commit(t *testing.T, s *store, objects, settings string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	tree := fstest.MapFS{"all.yaml": {Data: []byte(objects)}}
	if settings != "" {
		tree["writ.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: writ.dev/v1alpha1\nkind: Cluster\nspec: " + settings)}
	}
	if _, err := s.c.Commit(tree, reconcile.Commit{}); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		if _, _, err := s.c.Observe("node-1"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.c.Compute(); err != nil {
			t.Fatal(err)
		}
	}
	close(s.moved)
	s.moved = make(chan struct{})
}

func collector(t *testing.T, s *store, c Config) *Collector {
	t.Helper()
	if c.Usage == nil {
		c.Usage = func(context.Context, *state.Record) ([]Use, error) { return nil, nil }
	}
	m, err := New(c, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// measured plays a round and gives what it stated, empty if nothing.
func measured(t *testing.T, m *Collector, s *store) string {
	t.Helper()
	if err := m.round(t.Context(), s.World()); err != nil {
		t.Fatal(err)
	}
	select {
	case b := <-s.seen:
		var lines []string
		names := map[string]string{}
		for p := range s.World().Pods("default") {
			names[p.Ref.Name] = fmt.Sprintf("pod%d", len(names))
		}
		for _, r := range b.Puts[0].Metrics.Results {
			line := r.Metric + ":"
			for _, v := range r.Samples {
				line += fmt.Sprintf(" %s=%d", names[v.Pod], v.Value)
			}
			if r.Trouble != "" {
				line += " " + r.Trouble
			}
			lines = append(lines, line)
		}
		return strings.Join(lines, "\n")
	default:
		return ""
	}
}

// CPU is a rate between two rounds, of a pod the sum of its containers; one that was started again is not told before
// it was read twice.
func TestCollector_Resources(t *testing.T) {
	s := cluster(t, scaled(`{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}},
		{type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}},
		{type: ContainerResource, containerResource: {name: cpu, container: side, target: {type: Utilization, averageUtilization: 50}}}`), "")
	at, attempt := time.Unix(1000, 0), 1
	cpu := time.Second
	m := collector(t, s, Config{Usage: func(_ context.Context, pod *state.Record) ([]Use, error) {
		id := string(pod.UID)
		return []Use{
			{ID: id + "c", Name: "c", CPU: cpu, Memory: 3, At: at},
			{ID: fmt.Sprint(id, attempt), Name: "side", CPU: 2 * cpu, Memory: 4, At: at},
		}, nil
	}})
	if got := measured(t, m, s); got != "" {
		t.Errorf("stated after one reading: %s", got)
	}
	at, cpu = at.Add(10*time.Second), cpu+time.Second
	want := "Resource cpu: pod0=300 pod1=300\nResource memory: pod0=7000 pod1=7000\nContainerResource side cpu: pod0=200 pod1=200"
	if got := measured(t, m, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	at, cpu, attempt = at.Add(10*time.Second), cpu+time.Second, 2
	want = "Resource cpu:\nResource memory: pod0=7000 pod1=7000\nContainerResource side cpu:"
	if got := measured(t, m, s); got != want {
		t.Errorf("after a restart got\n%s\nwant\n%s", got, want)
	}
}

// prometheus speaks its HTTP API: it answers queries by their text.
func prometheus(t *testing.T, answers map[string]string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/base/api/v1/query" {
			http.NotFound(w, r)
			return
		}
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		query := r.PostForm.Get("query")
		for part, data := range answers {
			if strings.Contains(query, part) {
				fmt.Fprintf(w, `{"status":"success","data":%s}`, data)
				return
			}
		}
		w.WriteHeader(http.StatusBadRequest)
		answer, _ := json.Marshal(map[string]string{"status": "error", "errorType": "bad_data", "error": "no answer to " + query})
		_, _ = w.Write(answer)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestCollector_Prometheus(t *testing.T) {
	objects := scaled(`{type: Pods, pods: {metric: {name: requests}, target: {type: AverageValue, averageValue: 1}}},
		{type: Object, object: {metric: {name: latency, selector: {matchLabels: {a.b/c: x.y}}}, describedObject: {apiVersion: v1, kind: Service, name: web}, target: {type: Value, value: 1}}},
		{type: External, external: {metric: {name: queue, selector: {matchExpressions: [{key: q, operator: In, values: [a, b.c]}]}}, target: {type: Value, value: 1}}},
		{type: External, external: {metric: {name: scalar}, target: {type: Value, value: 1}}},
		{type: External, external: {metric: {name: unknown}, target: {type: Value, value: 1}}}`) +
		"---\n{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}\n"
	s := cluster(t, objects, "")
	if got := measured(t, collector(t, s, Config{}), s); !strings.Contains(got, "no server of metrics is set: spec.metrics.prometheus in writ.yaml") {
		t.Errorf("without a server: %s", got)
	}
	var pods []string
	for p := range s.World().Pods("default") {
		pods = append(pods, p.Ref.Name)
	}
	server := prometheus(t, map[string]string{
		`sum by (pod) (rate(requests_total{namespace="default",pod=~"` + strings.Join(pods, "|") + `"}[1m]))`: `{"resultType":"vector","result":[{"metric":{"pod":"` + pods[0] + `"},"value":[1435781451.781,"2.5"]},{"metric":{"pod":"` + pods[1] + `"},"value":[1435781451.781,"NaN"]},{"metric":{"pod":"other"},"value":[1435781451.781,"7"]}]}`,
		`sum({__name__="latency",namespace="default",service="web",a_b_c="x.y"})`:                             `{"resultType":"vector","result":[{"metric":{},"value":[1435781451.781,"0.25"]}]}`,
		`{__name__="queue",q=~"a|b\\.c"}`: `{"resultType":"vector","result":[{"metric":{"q":"a"},"value":[1435781451.781,"10"]},{"metric":{"q":"b.c"},"value":[1435781451.781,"1e30"]}]}`,
		`{__name__="scalar",}`:            `{"resultType":"scalar","result":[1435781451.781,"-3"]}`,
	})
	commit(t, s, objects, `{metrics: {prometheus: {url: '`+server.URL+`/base', queries: [{metric: requests, query: 'sum by (pod) (rate($(metric)_total{namespace="$(namespace)",pod=~"$(pods)"}[1m]))'}]}}}`)
	want := "Pods requests : pod0=2500\nObject  Service web latency a.b/c=x.y: =250\nExternal queue q in (a,b.c): =10000 =9223372036854775807\nExternal scalar : =-3000\n" +
		"External unknown : ask " + server.URL + `/base: 400 Bad Request: "no answer to {__name__=\"unknown\",}"`
	if got := measured(t, collector(t, s, Config{}), s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What a server says that is no Prometheus is not passed on, however much it is, and one that does not answer ends
// with the round.
func TestCollector_BadServers(t *testing.T) {
	objects := scaled(`{type: External, external: {metric: {name: m}, target: {type: Value, value: 1}}}`)
	over := make(chan struct{})
	for name, tt := range map[string]struct {
		serve func(w http.ResponseWriter, r *http.Request)
		want  string
	}{
		"a page":     {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>secret") }, "200 OK, not an answer of Prometheus"},
		"too much":   {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, answerLimit+1)) }, "the answer is larger than 4 MiB"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "302 Found, not an answer of Prometheus"},
		"a matrix": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
		}, `gives a "matrix", not an instant vector or a scalar`},
		"no answer": {func(http.ResponseWriter, *http.Request) { <-over }, "context deadline exceeded"},
		"many words": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"status":"error","error":"`+strings.Repeat("x", 5000)+`"}`)
		}, `xxx"`},
		"other words": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[{"value":7}]}}`)
		}, "its answer cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(tt.serve))
			t.Cleanup(server.Close)
			if name == "no answer" {
				t.Cleanup(func() { close(over) })
			}
			s := cluster(t, objects, `{metrics: {prometheus: {url: '`+server.URL+`'}}}`)
			got := measured(t, collector(t, s, Config{Every: time.Second}), s)
			if !strings.Contains(got, tt.want) || strings.Contains(got, "secret") || len(got) > 600 {
				t.Errorf("got %.700s, want %s", got, tt.want)
			}
		})
	}
}

// A name of the cluster is the cluster IP of its Service.
func TestTransport_Services(t *testing.T) {
	s := cluster(t, web+"---\n{apiVersion: v1, kind: Service, metadata: {name: p}, spec: {clusterIP: 10.96.0.99, selector: {app: web}, ports: [{port: 9090}]}}\n"+
		"---\n{apiVersion: v1, kind: Service, metadata: {name: h}, spec: {clusterIP: None, selector: {app: web}, ports: [{port: 9090}]}}\n", "")
	for host, want := range map[string]string{
		"p.default.svc": "10.96.0.99", "p.default.svc.cluster.local": "10.96.0.99", "p.default.svc.cluster.local.": "10.96.0.99",
		"h.default.svc": "Service/default/h has no cluster IP", "x.default.svc": "Service/default/x has no cluster IP",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the address is in the error; nothing is sent
		_, err := transport(s).(*http.Transport).DialContext(ctx, "tcp", net.JoinHostPort(host, "9090"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", host, err, want)
		}
	}
	if ref, ok := service(s.World(), "prometheus.example.com"); ok {
		t.Errorf("a name of the world is taken for %s", ref)
	}
}

// It measures while there is an autoscaler, and sleeps while there is none.
func TestCollector_Run(t *testing.T) {
	s := cluster(t, web, "")
	reads := make(chan struct{}, 1000)
	m := collector(t, s, Config{Every: time.Millisecond, Usage: func(_ context.Context, pod *state.Record) ([]Use, error) {
		select {
		case reads <- struct{}{}:
		default:
		}
		return nil, errors.New("not now")
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()
	commit(t, s, scaled(`{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}`), "")
	for range 3 {
		b := <-s.seen
		if b.Writer != state.WriterMetrics || len(b.Puts) != 1 || len(b.Puts[0].Metrics.Results[0].Samples) != 0 {
			t.Errorf("stated %+v", b)
		}
		<-reads
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := (&Config{Every: time.Hour, Usage: m.cfg.Usage}).Validate(); err == nil {
		t.Error("an hour between two rounds is taken")
	}
}
