package devices

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"

	"writ/disk"
)

// Config is what a Manager is told.
type Config struct {
	Dir     string // where plugins look for kubelet.sock, absolute
	File    string // what was given to whom, absolute
	Changed func() // devices came, went, or changed their health
}

// Manager knows the plugins of this node and what they gave.
type Manager struct {
	cfg Config
	log *slog.Logger

	choosing sync.Mutex // one Pod is given devices at a time

	mu        sync.Mutex
	plugins   map[string]*plugin           // by resource; those that are there
	resources map[string]*resource         // that a plugin has or had
	pods      map[string]map[string]grants // by UID and container
}

// resource is the devices of one name.
type resource struct {
	devices map[string]string // health by ID
	gone    time.Time         // since when there is no plugin; zero while there is one
}

// grants are what a container was given, by resource.
type grants map[string]*grant

type grant struct {
	IDs []string `json:"ids"`
	// Answer is the plugin's api.ContainerAllocateResponse.
	Answer []byte `json:"answer,omitempty"`
}

// record is what is on disk.
type record struct {
	Resources []string                     `json:"resources"`
	Pods      map[string]map[string]grants `json:"pods"`
}

// remember is how long the devices of a plugin that is gone are counted as there, though not healthy.
const remember = 5 * time.Minute

// Open reads what was given before. Nothing is served before Run.
func Open(cfg Config, log *slog.Logger) (*Manager, error) {
	m := &Manager{cfg: cfg, log: log.With("component", "devices"), plugins: map[string]*plugin{},
		resources: map[string]*resource{}, pods: map[string]map[string]grants{}}
	data, err := os.ReadFile(cfg.File)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open devices: %w", err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("open devices: decode %s: %w", cfg.File, err)
	}
	if r.Pods != nil {
		m.pods = r.Pods
	}
	for _, name := range r.Resources {
		m.resources[name] = &resource{devices: map[string]string{}, gone: time.Now()}
	}
	return m, nil
}

// save writes down what was given. The lock is held.
func (m *Manager) save() error {
	r := record{Resources: slices.Sorted(maps.Keys(m.resources)), Pods: m.pods}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode devices: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(m.cfg.File), 0o700); err != nil {
		return err
	}
	return disk.Replace(m.cfg.File, data)
}

// Count is how many devices of each resource there are, and how many of them are healthy. A resource whose plugin is
// gone for long has none.
func (m *Manager) Count() (capacity, allocatable map[string]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	capacity, allocatable = map[string]int64{}, map[string]int64{}
	for name, r := range m.resources {
		if !r.gone.IsZero() && time.Since(r.gone) >= remember {
			clear(r.devices)
		}
		capacity[name], allocatable[name] = int64(len(r.devices)), 0
		for _, health := range r.devices {
			if health == api.Healthy {
				allocatable[name]++
			}
		}
	}
	return capacity, allocatable
}

// Device is one device of a container, for its status.
type Device struct {
	ID      string
	Healthy bool
}

// Given is what a container was given, by resource, sorted by ID.
func (m *Manager) Given(uid, container string) map[string][]Device {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string][]Device{}
	for name, g := range m.pods[uid][container] {
		for _, id := range slices.Sorted(slices.Values(g.IDs)) {
			healthy := true // what is not known is not held against it
			if r := m.resources[name]; r != nil {
				if health, known := r.devices[id]; known {
					healthy = health == api.Healthy
				}
			}
			out[name] = append(out[name], Device{ID: id, Healthy: healthy})
		}
	}
	return out
}

// Pods are the UIDs of those that were given something.
func (m *Manager) Pods() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.pods))
}

// Release takes back what a Pod was given. It may be repeated.
func (m *Manager) Release(uid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pods[uid] == nil {
		return
	}
	delete(m.pods, uid)
	if err := m.save(); err != nil {
		m.log.Error("devices are free and not written down as such", "uid", uid, "err", err)
	}
}

// inUse are the devices of a resource that belong to a Pod. The lock is held.
func (m *Manager) inUse(name string) map[string]bool {
	used := map[string]bool{}
	for _, containers := range m.pods {
		for _, g := range containers {
			if given := g[name]; given != nil {
				for _, id := range given.IDs {
					used[id] = true
				}
			}
		}
	}
	return used
}

func (m *Manager) changed() {
	if m.cfg.Changed != nil {
		m.cfg.Changed()
	}
}
