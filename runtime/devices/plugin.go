package devices

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// Limits of what is asked of a plugin.
const (
	connectLimit  = 10 * time.Second
	allocateLimit = time.Minute
	startLimit    = api.KubeletPreStartContainerRPCTimeoutInSecs * time.Second
	mostMessage   = 16 << 20 // bytes of one answer
)

// plugin is one that registered and answers.
type plugin struct {
	name    string // the resource
	client  api.DevicePluginClient
	options *api.DevicePluginOptions
	end     func()
	ended   sync.WaitGroup
}

// connect takes a plugin in, in place of the one before. asked ends with the plugin's request, ctx with Run.
func (m *Manager) connect(asked, ctx context.Context, name, endpoint string) error {
	conn, err := grpc.NewClient("unix:"+filepath.Join(m.cfg.Dir, endpoint), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostMessage), grpc.WaitForReady(true)))
	if err != nil {
		return fmt.Errorf("connect to device plugin %s: %w", name, err)
	}
	client := api.NewDevicePluginClient(conn)
	limited, cancel := context.WithTimeout(asked, connectLimit)
	defer cancel()
	options, err := client.GetDevicePluginOptions(limited, &api.Empty{})
	if err != nil {
		conn.Close()
		return fmt.Errorf("failed to get device plugin options: %w", err)
	}
	lasting, end := context.WithCancel(ctx)
	p := &plugin{name: name, client: client, options: options, end: func() { end(); conn.Close() }}
	m.mu.Lock()
	before := m.plugins[name]
	m.plugins[name] = p
	r := m.resources[name]
	known := r != nil
	if !known {
		r = &resource{devices: map[string]string{}}
		m.resources[name] = r
		err = m.save()
	}
	r.gone = time.Time{}
	m.mu.Unlock()
	if err != nil {
		m.log.Error("device plugin is not written down", "resource", name, "err", err)
	}
	if before != nil {
		before.end()
	}
	p.ended.Add(1)
	go func() {
		defer p.ended.Done()
		m.listen(lasting, p)
	}()
	return nil
}

// listen takes in what the plugin says of its devices until it is gone.
func (m *Manager) listen(ctx context.Context, p *plugin) {
	stream, err := p.client.ListAndWatch(ctx, &api.Empty{})
	for err == nil {
		var list *api.ListAndWatchResponse
		if list, err = stream.Recv(); err == nil {
			m.take(p, list.Devices)
		}
	}
	if ctx.Err() == nil {
		m.log.Warn("device plugin is gone", "resource", p.name, "err", err)
	}
	m.lose(p)
}

func (m *Manager) take(p *plugin, list []*api.Device) {
	m.mu.Lock()
	if m.plugins[p.name] != p {
		m.mu.Unlock()
		return
	}
	devices := make(map[string]string, len(list))
	for _, d := range list {
		devices[d.ID] = d.Health
	}
	m.resources[p.name].devices = devices
	m.mu.Unlock()
	m.changed()
}

// lose counts all devices of a plugin that is gone as not healthy, until another one comes.
func (m *Manager) lose(p *plugin) {
	p.end()
	m.mu.Lock()
	if m.plugins[p.name] != p {
		m.mu.Unlock()
		return
	}
	delete(m.plugins, p.name)
	r := m.resources[p.name]
	r.gone = time.Now()
	for id := range r.devices {
		r.devices[id] = api.Unhealthy
	}
	m.mu.Unlock()
	m.changed()
}

// disconnect ends all plugins and waits for them.
func (m *Manager) disconnect() {
	m.mu.Lock()
	var all []*plugin
	for _, p := range m.plugins {
		all = append(all, p)
	}
	m.mu.Unlock()
	for _, p := range all {
		p.end()
		p.ended.Wait()
	}
}
