package resourcemetrics

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/metrics/pkg/apis/metrics"

	"writ/manifest"
	"writ/state"
)

// Worlds is where the present World comes from.
type Worlds interface{ World() *state.World }

// base is what both storages have.
type base struct {
	rest.TableConvertor
	worlds  Worlds
	node    string
	measure Measure
	samples *sampler
}

func (b *base) Destroy() {}

// quantities are what was used, as the API writes them.
func quantities(r rate) corev1.ResourceList {
	const nano = 1e9
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewScaledQuantity(int64(r.cores*nano), resource.Nano),
		corev1.ResourceMemory: *resource.NewQuantity(r.memory, resource.BinarySI),
	}
}

func selector(o *metainternalversion.ListOptions) labels.Selector {
	if o == nil || o.LabelSelector == nil {
		return labels.Everything()
	}
	return o.LabelSelector
}

// Pods serves PodMetrics.
type Pods struct{ base }

var (
	_ rest.Lister = (*Pods)(nil)
	_ rest.Getter = (*Pods)(nil)
	_ rest.Lister = (*Nodes)(nil)
	_ rest.Getter = (*Nodes)(nil)
)

// NewPods makes it for the pods of a node.
func NewPods(worlds Worlds, node string, m Measure) *Pods {
	return &Pods{base{rest.NewDefaultTableConvertor(metrics.Resource("podmetrics")), worlds, node, m, newSampler()}}
}

// New is rest.Storage's, as are those that follow.
func (p *Pods) New() runtime.Object     { return &metrics.PodMetrics{} }
func (p *Pods) NewList() runtime.Object { return &metrics.PodMetricsList{} }
func (p *Pods) Kind() string            { return "PodMetrics" }
func (p *Pods) NamespaceScoped() bool   { return true }
func (p *Pods) GetSingularName() string { return "pod" }

// List measures the pods of a namespace, or all, that a selector wants.
func (p *Pods) List(ctx context.Context, o *metainternalversion.ListOptions) (runtime.Object, error) {
	var pods []*state.Record
	s := selector(o)
	for r := range p.worlds.World().OnNode(state.Node(p.node)) {
		if namespace := genericapirequest.NamespaceValue(ctx); namespace != "" && namespace != r.Ref.Namespace {
			continue
		}
		if s.Matches(labels.Set(r.Object.GetLabels())) {
			pods = append(pods, r)
		}
	}
	return &metrics.PodMetricsList{Items: p.look(ctx, pods)}, nil
}

// Get measures one pod.
func (p *Pods) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	r := p.worlds.World().Get(manifest.PodRef(genericapirequest.NamespaceValue(ctx), name))
	if r != nil && r.Node == state.Node(p.node) {
		if items := p.look(ctx, []*state.Record{r}); len(items) == 1 {
			return &items[0], nil
		}
	}
	return nil, apierrors.NewNotFound(metrics.Resource("podmetrics"), genericapirequest.NamespaceValue(ctx)+"/"+name)
}

// look measures pods. One without a running container is left out.
func (p *Pods) look(ctx context.Context, pods []*state.Record) []metrics.PodMetrics {
	by, keys := make(map[types.UID]*state.Record, len(pods)), make([]types.UID, len(pods))
	for i, r := range pods {
		by[r.UID], keys[i] = r, r.UID
	}
	rates := p.samples.measured(ctx, keys, func(uid types.UID) []Use {
		uses, err := p.measure.Pod(ctx, by[uid])
		if err != nil {
			return nil
		}
		return uses
	})
	items := make([]metrics.PodMetrics, 0, len(pods))
	for _, r := range pods {
		all := rates[r.UID]
		if len(all) == 0 {
			continue
		}
		m := metrics.PodMetrics{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.Ref.Namespace, Name: r.Ref.Name, Labels: r.Object.GetLabels(), CreationTimestamp: metav1.NewTime(all[0].at.UTC())},
			Timestamp:  metav1.NewTime(all[0].at.UTC()), Window: metav1.Duration{Duration: all[0].window.Round(time.Millisecond)},
		}
		for _, c := range all {
			m.Containers = append(m.Containers, metrics.ContainerMetrics{Name: c.name, Usage: quantities(c)})
		}
		items = append(items, m)
	}
	return items
}

// Nodes serves NodeMetrics.
type Nodes struct{ base }

// NewNodes makes it for a node.
func NewNodes(worlds Worlds, node string, m Measure) *Nodes {
	return &Nodes{base{rest.NewDefaultTableConvertor(metrics.Resource("nodemetrics")), worlds, node, m, newSampler()}}
}

// New is rest.Storage's, as are those that follow.
func (n *Nodes) New() runtime.Object     { return &metrics.NodeMetrics{} }
func (n *Nodes) NewList() runtime.Object { return &metrics.NodeMetricsList{} }
func (n *Nodes) Kind() string            { return "NodeMetrics" }
func (n *Nodes) NamespaceScoped() bool   { return false }
func (n *Nodes) GetSingularName() string { return "node" }

// List measures this node, if a selector wants it.
func (n *Nodes) List(ctx context.Context, o *metainternalversion.ListOptions) (runtime.Object, error) {
	list := &metrics.NodeMetricsList{Items: []metrics.NodeMetrics{}}
	if r := n.worlds.World().Get(manifest.NodeRef(n.node)); r != nil && selector(o).Matches(labels.Set(r.Object.GetLabels())) {
		if m, ok := n.look(ctx, r); ok {
			list.Items = append(list.Items, m)
		}
	}
	return list, nil
}

// Get measures the node.
func (n *Nodes) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if r := n.worlds.World().Get(manifest.NodeRef(name)); r != nil && name == n.node {
		if m, ok := n.look(ctx, r); ok {
			return &m, nil
		}
	}
	return nil, apierrors.NewNotFound(metrics.Resource("nodemetrics"), name)
}

func (n *Nodes) look(ctx context.Context, r *state.Record) (metrics.NodeMetrics, bool) {
	rates := n.samples.measured(ctx, []types.UID{r.UID}, func(types.UID) []Use {
		use, err := n.measure.Node(ctx)
		if err != nil {
			return nil
		}
		return []Use{use}
	})[r.UID]
	if len(rates) == 0 {
		return metrics.NodeMetrics{}, false
	}
	return metrics.NodeMetrics{
		ObjectMeta: metav1.ObjectMeta{Name: n.node, Labels: r.Object.GetLabels(), CreationTimestamp: metav1.NewTime(rates[0].at.UTC())},
		Timestamp:  metav1.NewTime(rates[0].at.UTC()), Window: metav1.Duration{Duration: rates[0].window.Round(time.Millisecond)}, Usage: quantities(rates[0]),
	}, true
}
