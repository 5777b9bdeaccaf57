package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"writ/api/eventstore"
	"writ/manifest"
	"writ/pki"
	"writ/state"
	"writ/state/event"
	"writ/state/store"
)

var now = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

const issuer = "https://kubernetes.default.svc.cluster.local"

// told are the events of a ring.
type told struct {
	*event.Ring
	lists *atomic.Int64 // how often they were asked for
}

func (t told) List(after uint64) (list []eventstore.Told, last uint64) {
	t.lists.Add(1)
	entries, last := t.Ring.List(event.Filter{After: after})
	for _, e := range entries {
		list = append(list, eventstore.Told{Event: e.Event, Sequence: e.Sequence})
	}
	return list, last
}

type noOpenID struct{}

func (noOpenID) TokenKeys() ([]byte, error)   { return []byte(`{"keys":[]}`), nil }
func (noOpenID) TokenIssuer() ([]byte, error) { return []byte(`{}`), nil }

// rig is a server on loopback over a store.
type rig struct {
	t      testing.TB
	store  *store.Store
	keys   *pki.Keys
	url    string
	audit  lockedBuffer
	events *event.Ring
	lists  atomic.Int64 // of events
	clock  atomic.Int64 // seconds that events are older than they were
}

func newRig(t testing.TB) *rig {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := store.Open(store.Config{Dir: t.TempDir()}, log)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: s, keys: keys, url: "https://" + l.Addr().String()}
	r.events = event.NewRing(event.Config{Now: func() time.Time { return time.Now().Add(time.Duration(r.clock.Load()) * time.Second) }})
	server := New(Config{
		Feed: s, CA: keys.CA, Account: keys.Account, Issuer: func() string { return issuer }, Address: l.Addr().String(), Log: log, Whereto: r.whereto, Events: told{r.events, &r.lists}, OpenID: noOpenID{}, Measure: &loads{}, Audit: &r.audit, Began: now, Node: "n1",
		Serving: NewServing(keys.CA, keys.CAKey, []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}),
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// whereto has the Deployments of namespace "written" written in one file, at a line for each letter of the name.
func (r *rig) whereto() Place {
	return Place{Repository: "https://git.example/shop.git", Branch: "main", Source: func(ref manifest.Ref) (manifest.Source, bool) {
		return manifest.Source{Path: "shop/all.yaml", Line: len(ref.Name)}, ref.Namespace == "written" && ref.Kind == "Deployment"
	}}
}

// as is the configuration of a client that is a user; no name is the administrator.
func (r *rig) as(name string, groups ...string) *restclient.Config {
	r.t.Helper()
	return r.of(User{Name: name, Groups: groups, TTL: time.Hour, Now: time.Now()})
}

func (r *rig) parse(kubeconfig []byte) *restclient.Config {
	r.t.Helper()
	c, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		r.t.Fatal(err)
	}
	c.QPS, c.Burst = -1, -1
	return c
}

func (r *rig) client(c *restclient.Config) *kubernetes.Clientset {
	r.t.Helper()
	set, err := kubernetes.NewForConfig(c)
	if err != nil {
		r.t.Fatal(err)
	}
	return set
}

func (r *rig) admin() *kubernetes.Clientset { r.t.Helper(); return r.client(r.as("")) }

// decide proposes what reconcile would.
func (r *rig) decide(deletes []state.Delete, puts ...state.Put) state.Revision {
	r.t.Helper()
	w := r.store.World()
	rev, err := r.store.Propose(context.Background(), state.Batch{Writer: state.WriterReconcile, Base: w.Revision(), Commit: w.Adopted().Commit, Now: now, Puts: puts, Deletes: deletes})
	if err != nil {
		r.t.Fatal(err)
	}
	return rev
}

func put(o manifest.Object) state.Put {
	return state.Put{Ref: manifest.RefOf(o), Origin: state.Derived, Object: o, Why: "a test"}
}

func configMap(namespace, name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: map[string]string{"value": value},
		},
		Data: map[string]string{"value": value},
	}
}

func numbered(n int) string { return fmt.Sprintf("cm-%03d", n) }

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
