package runtime

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	defaults "k8s.io/kubernetes/pkg/apis/core/v1"

	"writ/manifest"
	"writ/state"
)

// world is a store in memory: a World that Batches move, with its changes.
type world struct {
	mu      sync.Mutex
	w       *state.World
	changes []state.Change
	moved   chan struct{}
	puts    int          // statuses of Pods that were stated
	refuse  func() error // when set, Propose fails
}

func newWorld() *world {
	return &world{w: state.NewWorld(uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")), moved: make(chan struct{})}
}

func (f *world) World() *state.World {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.w
}

func (f *world) Since(rev state.Revision) ([]state.Change, *state.World, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []state.Change
	for _, c := range f.changes {
		if c.Revision > rev {
			out = append(out, c)
		}
	}
	return out, f.w, true
}

func (f *world) Changed(rev state.Revision) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.w.Revision() > rev {
		done := make(chan struct{})
		close(done)
		return done
	}
	return f.moved
}

func (f *world) Propose(_ context.Context, b state.Batch) (state.Revision, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		if err := f.refuse(); err != nil {
			return 0, err
		}
	}
	next, changes, err := state.Apply(f.w, b, f.w.Revision()+1)
	if err != nil {
		return 0, err
	}
	for i := range b.Puts {
		if b.Puts[i].Ref.Kind == "Pod" && b.Puts[i].Status != nil {
			f.puts++
		}
	}
	f.w, f.changes = next, append(f.changes, changes...)
	close(f.moved)
	f.moved = make(chan struct{})
	return next.Revision(), nil
}

// decide applies a Batch of reconcile.
func (f *world) decide(t testing.TB, b state.Batch) {
	t.Helper()
	b.Writer = state.WriterReconcile
	b.Base = f.World().Revision()
	if b.Now.IsZero() {
		b.Now = time.Now()
	}
	if _, err := f.Propose(t.Context(), b); err != nil {
		t.Fatalf("decide: %v", err)
	}
}

// adopt makes a commit of objects; Pods among them are bound to the node.
func (f *world) adopt(t testing.TB, node state.Node, commit string, objects ...manifest.Object) {
	t.Helper()
	b := state.Batch{Adopt: &state.Adoption{Commit: commit, Settings: manifest.Cluster{Spec: manifest.ClusterSpec{ClusterDomain: "cluster.local"}}}}
	for _, o := range objects {
		p := state.Put{Object: o, Origin: state.Authored}
		switch o := o.(type) {
		case *corev1.Pod:
			p.Ref, p.Node = manifest.PodRef(o.Namespace, o.Name), node
		case *corev1.ConfigMap:
			p.Ref = manifest.ConfigMapRef(o.Namespace, o.Name)
		case *corev1.ServiceAccount:
			p.Ref = manifest.ServiceAccountRef(o.Namespace, o.Name)
		case *corev1.Secret:
			p.Ref = manifest.SecretRef(o.Namespace, o.Name)
		case *corev1.Service:
			p.Ref = manifest.ServiceRef(o.Namespace, o.Name)
			if o.Spec.ClusterIP != "" {
				p.Allocation = &state.Allocation{ClusterIPs: []string{o.Spec.ClusterIP}}
			}
		case *corev1.Node:
			p.Ref = manifest.NodeRef(o.Name)
		case *nodev1.RuntimeClass:
			p.Ref = manifest.Ref{Group: "node.k8s.io", Kind: "RuntimeClass", Name: o.Name}
		default:
			t.Fatalf("adopt %T: not known here", o)
		}
		b.Puts = append(b.Puts, p)
	}
	f.decide(t, b)
}

// finish deletes a Pod gracefully, and its record once the node says it is gone.
func (f *world) end(t testing.TB, ns, name string, grace int64) {
	t.Helper()
	f.decide(t, state.Batch{Puts: []state.Put{{Ref: manifest.PodRef(ns, name), Deletion: &state.Deletion{At: time.Now(), Grace: grace}}}})
}

func (f *world) status(ns, name string) *corev1.PodStatus {
	rec := f.World().Get(manifest.PodRef(ns, name))
	if rec == nil {
		return nil
	}
	return rec.PodStatus()
}

// await waits until ok holds for the status of a Pod.
func (f *world) await(t testing.TB, ns, name, what string, limit time.Duration, ok func(*corev1.PodStatus) bool) *corev1.PodStatus {
	t.Helper()
	end := time.After(limit)
	for {
		w := f.World()
		if rec := w.Get(manifest.PodRef(ns, name)); rec != nil && ok(rec.PodStatus()) {
			return rec.PodStatus()
		}
		select {
		case <-f.Changed(w.Revision()):
		case <-end:
			t.Fatalf("%s/%s: not %s after %v; status is\n%s", ns, name, what, limit, describe(f.status(ns, name)))
		}
	}
}

func describe(s *corev1.PodStatus) string {
	if s == nil {
		return "no record"
	}
	return s.String()
}

func ready(s *corev1.PodStatus) bool { return state.PodIs(s, corev1.PodReady) }

func gone(s *corev1.PodStatus) bool { return state.PodIs(s, state.PodStopped) }

// pod is a Pod with one container and upstream's defaults.
func pod(name, image string, change func(*corev1.Pod)) *corev1.Pod {
	grace := int64(2)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: &grace,
		Containers:                    []corev1.Container{{Name: "main", Image: image}},
	}}
	if change != nil {
		change(p)
	}
	defaults.SetObjectDefaults_Pod(p)
	return p
}

func command(args ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Command = args }
}
