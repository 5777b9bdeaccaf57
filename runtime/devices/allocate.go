package devices

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// Need is what one container asks for, by resource.
type Need struct {
	Container string
	Counts    map[string]int64
	// Passing: an init container, whose devices those after it can have.
	Passing bool
}

// Allocate gives a Pod's containers their devices, in the order in which they start. What they were given before
// they keep. With an error the Pod has nothing; the text is kubelet's.
func (m *Manager) Allocate(ctx context.Context, uid string, needs []Need) error {
	m.choosing.Lock()
	defer m.choosing.Unlock()
	free := map[string][]string{} // what init containers leave
	for _, n := range needs {
		for _, name := range slices.Sorted(maps.Keys(n.Counts)) {
			if n.Counts[name] == 0 || !m.knows(name) {
				continue
			}
			if err := m.allocate(ctx, uid, n, name, free); err != nil {
				m.Release(uid)
				return err
			}
		}
	}
	return nil
}

// knows says that a resource is one of plugins. Others are counted and that is all.
func (m *Manager) knows(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.resources[name] != nil
}

func (m *Manager) allocate(ctx context.Context, uid string, n Need, name string, free map[string][]string) error {
	count := int(n.Counts[name])
	m.mu.Lock()
	before := m.pods[uid][n.Container][name]
	m.mu.Unlock()
	if before != nil {
		if len(before.IDs) != count {
			return fmt.Errorf("pod %q container %q changed request for resource %q from %d to %d", uid, n.Container, name, len(before.IDs), count)
		}
		m.pass(n, name, before.IDs, free)
		return nil
	}
	p, ids, err := m.choose(ctx, name, count, free[name])
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, allocateLimit)
	defer cancel()
	answer, err := p.client.Allocate(limited, &api.AllocateRequest{ContainerRequests: []*api.ContainerAllocateRequest{{DevicesIds: ids}}})
	if err != nil {
		return err
	}
	if len(answer.ContainerResponses) == 0 {
		return fmt.Errorf("no containers return in allocation response %v", answer)
	}
	if len(answer.ContainerResponses[0].CdiDevices) > 0 {
		return fmt.Errorf("device plugin of %s names CDI devices, which this node does not inject", name)
	}
	data, err := proto.Marshal(answer.ContainerResponses[0])
	if err != nil {
		return err
	}
	m.mu.Lock()
	if m.pods[uid] == nil {
		m.pods[uid] = map[string]grants{}
	}
	if m.pods[uid][n.Container] == nil {
		m.pods[uid][n.Container] = grants{}
	}
	m.pods[uid][n.Container][name] = &grant{IDs: ids, Answer: data}
	err = m.save()
	m.mu.Unlock()
	m.pass(n, name, ids, free)
	return err
}

// pass notes which devices those who come after may have too.
func (m *Manager) pass(n Need, name string, ids []string, free map[string][]string) {
	rest := slices.DeleteFunc(slices.Clone(free[name]), func(id string) bool { return slices.Contains(ids, id) })
	if n.Passing {
		rest = append(rest, ids...)
	}
	free[name] = rest
}

// choose picks devices: those that an init container leaves, then those that the plugin would rather have taken, then any.
func (m *Manager) choose(ctx context.Context, name string, count int, free []string) (*plugin, []string, error) {
	m.mu.Lock()
	p, r := m.plugins[name], m.resources[name]
	if p == nil {
		m.mu.Unlock()
		return nil, nil, fmt.Errorf("cannot allocate unregistered device %s", name)
	}
	var healthy, available []string
	used := m.inUse(name)
	for _, id := range slices.Sorted(maps.Keys(r.devices)) {
		if r.devices[id] == api.Healthy {
			healthy = append(healthy, id)
			if !used[id] {
				available = append(available, id)
			}
		}
	}
	m.mu.Unlock()
	if len(healthy) == 0 {
		return nil, nil, fmt.Errorf("no healthy devices present; cannot allocate unhealthy devices %s", name)
	}
	chosen := slices.Clone(free[:min(count, len(free))])
	needed := count - len(chosen)
	if needed == 0 {
		return p, chosen, nil
	}
	if len(available) < needed {
		return nil, nil, fmt.Errorf("requested number of devices unavailable for %s. Requested: %d, Available: %d", name, needed, len(available))
	}
	preferred, err := p.prefers(ctx, available, chosen, count)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range append(preferred, available...) {
		if len(chosen) < count && slices.Contains(available, id) && !slices.Contains(chosen, id) {
			chosen = append(chosen, id)
		}
	}
	return p, chosen, nil
}

// prefers asks a plugin that wants to be asked.
func (p *plugin) prefers(ctx context.Context, available, must []string, count int) ([]string, error) {
	if !p.options.GetGetPreferredAllocationAvailable() {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, allocateLimit)
	defer cancel()
	answer, err := p.client.GetPreferredAllocation(ctx, &api.PreferredAllocationRequest{ContainerRequests: []*api.ContainerPreferredAllocationRequest{{
		AvailableDeviceIDs: append(slices.Clone(must), available...), MustIncludeDeviceIDs: must, AllocationSize: int32(count),
	}}})
	if err != nil {
		return nil, fmt.Errorf("device plugin GetPreferredAllocation rpc failed with err: %w", err)
	}
	if len(answer.ContainerResponses) == 0 {
		return nil, nil
	}
	return answer.ContainerResponses[0].DeviceIDs, nil
}

// Grant is what a container is to see of its devices.
type Grant struct {
	Env         map[string]string
	Annotations map[string]string
	Mounts      []*api.Mount
	Devices     []*api.DeviceSpec
}

// Start tells the plugins that a container is about to be started, where they want to know, and gives what it is to see.
func (m *Manager) Start(ctx context.Context, uid, container string) (*Grant, error) {
	m.mu.Lock()
	given := maps.Clone(m.pods[uid][container])
	m.mu.Unlock()
	out := &Grant{Env: map[string]string{}, Annotations: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if err := m.prepare(ctx, name, given[name].IDs); err != nil {
			return nil, err
		}
		var answer api.ContainerAllocateResponse
		if err := proto.Unmarshal(given[name].Answer, &answer); err != nil {
			return nil, fmt.Errorf("what was given of %s is not readable: %w", name, err)
		}
		out.add(&answer)
	}
	return out, nil
}

func (m *Manager) prepare(ctx context.Context, name string, ids []string) error {
	m.mu.Lock()
	p := m.plugins[name]
	m.mu.Unlock()
	if p == nil || !p.options.GetPreStartRequired() {
		return nil // what it said is known
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if _, err := p.client.PreStartContainer(ctx, &api.PreStartContainerRequest{DevicesIds: ids}); err != nil {
		return fmt.Errorf("device plugin PreStartContainer rpc failed with err: %w", err)
	}
	return nil
}

// add takes one plugin's answer; what another one said first stays.
func (g *Grant) add(a *api.ContainerAllocateResponse) {
	for k, v := range a.Envs {
		if _, there := g.Env[k]; !there {
			g.Env[k] = v
		}
	}
	for k, v := range a.Annotations {
		if _, there := g.Annotations[k]; !there {
			g.Annotations[k] = v
		}
	}
	for _, d := range a.Devices {
		if !slices.ContainsFunc(g.Devices, func(o *api.DeviceSpec) bool { return o.ContainerPath == d.ContainerPath }) {
			g.Devices = append(g.Devices, d)
		}
	}
	for _, o := range a.Mounts {
		if !slices.ContainsFunc(g.Mounts, func(m *api.Mount) bool { return m.ContainerPath == o.ContainerPath }) {
			g.Mounts = append(g.Mounts, o)
		}
	}
}
