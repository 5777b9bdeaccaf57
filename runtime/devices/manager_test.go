package devices

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"

	"writ/fixtures/deviceplugin"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

const gpu = "example.com/gpu"

func want(container string, n int64, passing bool) Need {
	return Need{Container: container, Counts: map[string]int64{gpu: n}, Passing: passing}
}

// ids are those of a container, with a mark on what is not healthy.
func ids(m *Manager, uid, container string) string {
	var out []string
	for _, d := range m.Given(uid, container)[gpu] {
		if !d.Healthy {
			d.ID += "!"
		}
		out = append(out, d.ID)
	}
	return strings.Join(out, " ")
}

func TestManager_GivesDevices(t *testing.T) {
	b := newBench(t)
	p := deviceplugin.Start(t, filepath.Join(b.dir, "p"), gpu, func(p *deviceplugin.Plugin) {
		p.Options = &api.DevicePluginOptions{PreStartRequired: true, GetPreferredAllocationAvailable: true}
		p.Prefer = []string{"c", "nosuch"}
	})
	if err := p.Register(t, api.Version); err != nil {
		t.Fatal(err)
	}
	p.Tell("a b c d", "d")
	b.counts(gpu, 4, 3)
	if err := b.m.Allocate(t.Context(), "one", []Need{want("main", 2, false)}); err != nil {
		t.Fatal(err)
	}
	if got := ids(b.m, "one", "main"); got != "a c" {
		t.Errorf("given %q, want the one that is preferred and another", got)
	}
	given, err := b.m.Start(t.Context(), "one", "main")
	if err != nil {
		t.Fatal(err)
	}
	if given.Env["DEVICES"] != "c,a" || len(given.Devices) != 2 || given.Devices[0].ContainerPath != "/dev/c" || given.Mounts[0].ContainerPath != "/host-etc" || given.Annotations["example.com/by"] != gpu {
		t.Errorf("a container is to see %+v", given)
	}
	if got, want := p.Asked(), "prefer 2 of [a b c] with []; allocate [c a]; start [c a]"; got != want {
		t.Errorf("the plugin was asked %q, want %q", got, want)
	}
	// Again it is the same, and nobody is asked.
	if err := b.m.Allocate(t.Context(), "one", []Need{want("main", 2, false)}); err != nil || strings.Count(p.Asked(), "allocate") != 1 {
		t.Errorf("asked again: %v, %s", err, p.Asked())
	}
	for name, tt := range map[string]struct {
		needs []Need
		want  string
	}{
		"too many": {[]Need{want("main", 2, false)}, "requested number of devices unavailable for example.com/gpu. Requested: 2, Available: 1"},
		"in all":   {[]Need{want("one", 1, false), want("two", 1, false)}, "requested number of devices unavailable for example.com/gpu. Requested: 1, Available: 0"},
	} {
		if err := b.m.Allocate(t.Context(), "two", tt.needs); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
		if got := b.m.Given("two", "one"); len(got) != 0 {
			t.Errorf("%s: what did not get all keeps %v", name, got)
		}
	}
	if err := b.m.Allocate(t.Context(), "two", []Need{{Container: "c", Counts: map[string]int64{"example.com/other": 1}}}); err != nil {
		t.Errorf("a resource of no plugin: %v", err)
	}
	b.m.Release("one")
	if err := b.m.Allocate(t.Context(), "two", []Need{want("main", 3, false)}); err != nil {
		t.Errorf("after one gave back: %v", err)
	}
}

// What init containers have goes on to those after them; a sidecar keeps its own.
func TestManager_InitContainers(t *testing.T) {
	b := newBench(t)
	p := deviceplugin.Start(t, filepath.Join(b.dir, "p"), gpu, nil)
	if err := p.Register(t, api.Version); err != nil {
		t.Fatal(err)
	}
	p.Tell("a b c")
	b.counts(gpu, 3, 3)
	if err := b.m.Allocate(t.Context(), "pod", []Need{want("init", 2, true), want("side", 1, false), want("main", 2, false)}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(ids(b.m, "pod", "init"), ", ", ids(b.m, "pod", "side"), ", ", ids(b.m, "pod", "main")); got != "a b, a, b c" {
		t.Errorf("given %s, want a b, a, b c", got)
	}
}

func TestManager_Restart(t *testing.T) {
	b := newBench(t)
	p := deviceplugin.Start(t, filepath.Join(b.dir, "p"), gpu, nil)
	if err := p.Register(t, api.Version); err != nil {
		t.Fatal(err)
	}
	p.Tell("a b")
	b.counts(gpu, 2, 2)
	if err := b.m.Allocate(t.Context(), "one", []Need{want("main", 1, false)}); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b.up()
	if got := ids(b.m, "one", "main"); got != "a" {
		t.Errorf("after a restart it has %q, want a", got)
	}
	if given, err := b.m.Start(t.Context(), "one", "main"); err != nil || given.Env["DEVICES"] != "a" {
		t.Errorf("a container that starts again without the plugin: %+v %v", given, err)
	}
	b.counts(gpu, 0, 0)
	if err := b.m.Allocate(t.Context(), "two", []Need{want("main", 1, false)}); err == nil || err.Error() != "cannot allocate unregistered device example.com/gpu" {
		t.Errorf("before the plugin is there again: %v", err)
	}
	// Its socket is removed, which tells it to register again.
	if _, err := os.Stat(filepath.Join(b.dir, "p", p.Endpoint)); !os.IsNotExist(err) {
		t.Errorf("the plugin's socket: %v, want it gone", err)
	}
	again := deviceplugin.Start(t, filepath.Join(b.dir, "p"), gpu, nil)
	if err := again.Register(t, api.Version); err != nil {
		t.Fatal(err)
	}
	again.Tell("a b")
	b.counts(gpu, 2, 2)
	if err := b.m.Allocate(t.Context(), "two", []Need{want("main", 1, false)}); err != nil || ids(b.m, "two", "main") != "b" {
		t.Errorf("the one that is left: %v, %q", err, ids(b.m, "two", "main"))
	}
}

func TestManager_Health(t *testing.T) {
	b := newBench(t)
	p := deviceplugin.Start(t, filepath.Join(b.dir, "p"), gpu, nil)
	if err := p.Register(t, api.Version); err != nil {
		t.Fatal(err)
	}
	p.Tell("a b")
	b.counts(gpu, 2, 2)
	if err := b.m.Allocate(t.Context(), "one", []Need{want("main", 1, false)}); err != nil {
		t.Fatal(err)
	}
	p.Tell("a b", "a")
	b.counts(gpu, 2, 1)
	if got := ids(b.m, "one", "main"); got != "a!" {
		t.Errorf("it has %q, want an unhealthy a", got)
	}
	p.Stop() // it is gone: all of its devices are
	b.counts(gpu, 2, 0)
	if err := b.m.Allocate(t.Context(), "two", []Need{want("main", 1, false)}); err == nil {
		t.Error("a device of a plugin that is gone was given")
	}
	b.m.mu.Lock()
	b.m.resources[gpu].gone = time.Now().Add(-remember)
	b.m.mu.Unlock()
	b.counts(gpu, 0, 0)
}

func TestManager_Refuses(t *testing.T) {
	b := newBench(t)
	dir := filepath.Join(b.dir, "p")
	for name, tt := range map[string]struct {
		version, resource, endpoint, want string
	}{
		"version":  {"v1", gpu, "", `API version "v1" is not supported`},
		"resource": {api.Version, "cpu", "", `the ResourceName "cpu" is invalid`},
		"endpoint": {api.Version, gpu, "../../run/docker.sock", "is not the name of a socket"},
	} {
		q := deviceplugin.New(dir, tt.resource, func(p *deviceplugin.Plugin) { p.Endpoint = tt.endpoint })
		if err := q.Register(t, tt.version); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
	p := deviceplugin.Start(t, dir, gpu, func(p *deviceplugin.Plugin) { p.Fail = errors.New("broken") })
	if err := p.Register(t, api.Version); err != nil {
		t.Fatal(err)
	}
	p.Tell("a")
	b.counts(gpu, 1, 1)
	if err := b.m.Allocate(t.Context(), "one", []Need{want("main", 1, false)}); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a plugin that refuses: %v", err)
	}
	p.Fail, p.CDI = nil, true
	if err := b.m.Allocate(t.Context(), "one", []Need{want("main", 1, false)}); err == nil || !strings.Contains(err.Error(), "CDI") {
		t.Errorf("CDI devices: %v", err)
	}
	if got := ids(b.m, "one", "main"); got != "" {
		t.Errorf("what was refused has %q", got)
	}
}
