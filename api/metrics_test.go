package api

import (
	"context"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metrics "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"writ/api/resourcemetrics"
	"writ/state"
)

// loads are those of a node on which every container uses half a core and 64 MiB.
type loads struct {
	mu    sync.Mutex
	looks int
}

var loadsBegan = time.Now().Add(-time.Hour)

func (l *loads) use(id string) resourcemetrics.Use {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	now := time.Now()
	return resourcemetrics.Use{ID: id, Name: id, CPU: now.Sub(loadsBegan) / 2, Memory: 64 << 20, At: now}
}

func (l *loads) Pod(_ context.Context, pod *state.Record) ([]resourcemetrics.Use, error) {
	if pod.Ref.Name == "starting" {
		return nil, nil
	}
	return []resourcemetrics.Use{l.use("main"), l.use("side")}, nil
}

func (l *loads) Node(context.Context) (resourcemetrics.Use, error) { return l.use("node"), nil }

func TestMetrics(t *testing.T) {
	r := newRig(t)
	pod := func(name, node string) state.Put {
		p := put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: name, Labels: map[string]string{"name": name}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "x"}}}})
		p.Node = state.Node(node)
		return p
	}
	r.decide(nil, put(&corev1.Node{ObjectMeta: meta("", "n1")}), put(&corev1.Node{ObjectMeta: meta("", "n2")}), pod("a", "n1"), pod("b", "n1"), pod("starting", "n1"), pod("waiting", ""), pod("away", "n2"))
	get := func(path ...string) error {
		return r.admin().RESTClient().Get().AbsPath(append([]string{"/apis/metrics.k8s.io/v1beta1"}, path...)...).SetHeader("Accept", "application/vnd.kubernetes.protobuf").Do(t.Context()).Error()
	}
	var list metrics.PodMetricsList
	raw, err := r.admin().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/pods").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	decode(t, raw, &list)
	if len(list.Items) != 2 || list.Items[0].Name != "a" || list.Items[1].Name != "b" {
		t.Fatalf("pods %v", list.Items)
	}
	for _, c := range list.Items[0].Containers {
		if cpu := c.Usage.Cpu().MilliValue(); cpu < 495 || cpu > 505 || c.Usage.Memory().Value() != 64<<20 {
			t.Errorf("container %s uses %v", c.Name, c.Usage)
		}
	}
	if len(list.Items[0].Containers) != 2 || list.Items[0].Window.Duration <= 0 {
		t.Errorf("pod %v", list.Items[0])
	}
	raw, err = r.admin().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/namespaces/web/pods").Param("labelSelector", "name=b").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if decode(t, raw, &list); len(list.Items) != 1 || list.Items[0].Name != "b" {
		t.Errorf("with a selector: %v", list.Items)
	}
	var nodes metrics.NodeMetricsList
	raw, err = r.admin().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/nodes").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if decode(t, raw, &nodes); len(nodes.Items) != 1 || nodes.Items[0].Name != "n1" || nodes.Items[0].Usage.Cpu().MilliValue() < 495 {
		t.Errorf("nodes %v", nodes.Items)
	}
	for _, path := range [][]string{{"namespaces", "web", "pods", "starting"}, {"namespaces", "web", "pods", "away"}, {"namespaces", "web", "pods", "none"}, {"nodes", "n2"}} {
		if err := get(path...); !apierrors.IsNotFound(err) {
			t.Errorf("%v: %v", path, err)
		}
	}
}
