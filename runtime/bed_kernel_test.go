//go:build kernel

package runtime

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/images"
	"writ/fixtures/kernel"
	"writ/runtime/image"
	"writ/runtime/pressure"
	"writ/state"
)

const (
	busyboxImage = images.Domain + "/busybox:1.0"
	demoImage    = images.Domain + "/demo:blue"
)

// shared is what every kernel test of this package needs and is dear to make.
var shared struct {
	once    sync.Once
	dir     string
	shim    string
	archive string
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// build makes the static shim and an archive of images, once.
func build(t testing.TB) (shim, archive string) {
	t.Helper()
	shared.once.Do(func() {
		shared.err = func() error {
			var err error
			if shared.dir, err = os.MkdirTemp("", "writ-runtime-"); err != nil {
				return err
			}
			shared.shim = filepath.Join(shared.dir, "writ-shim")
			cmd := exec.Command("go", "build", "-tags", "seccomp netgo osusergo", "-ldflags", "-s -w -linkmode external -extldflags -static", "-o", shared.shim, "writ/cmd/writ-shim")
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("build writ-shim: %w: %s", err, out)
			}
			var b images.Builder
			set := map[string]v1.Image{}
			for _, name := range []string{"busybox:1.0", "demo:blue", "demo:green"} {
				s, err := images.Find(name)
				if err != nil {
					return err
				}
				if set[s.Name], err = b.Image(context.Background(), s); err != nil {
					return err
				}
			}
			for _, s := range witnesses() {
				var err error
				if set[s.Name], err = b.Image(context.Background(), s); err != nil {
					return err
				}
			}
			shared.archive = filepath.Join(shared.dir, "test.tar")
			return images.WriteDockerArchive(shared.archive, set)
		}()
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.shim, shared.archive
}

// bed is one node: directories, images, a World and a runtime on them.
type bed struct {
	t      testing.TB
	dir    string
	world  *world
	images *image.Store
	net    *lonely
	cfg    Config
	mu     sync.Mutex
	events []state.Event
	logs   bytes.Buffer
	r      *Runtime
	stop   func()
}

func newBed(t testing.TB) *bed {
	t.Helper()
	kernel.Require(t)
	shim, archive := build(t)
	id := fmt.Sprintf("wrt%d-%09d", os.Getpid(), time.Now().UnixNano()%1e9) // none is how another begins
	dir := filepath.Join(os.TempDir(), id)
	if err := os.MkdirAll(filepath.Join(dir, "archives"), 0o711); err != nil { // users of a pod pass through it
		t.Fatal(err)
	}
	kernel.CheckClean(t, id)
	b := &bed{t: t, dir: dir, world: newWorld(), net: &lonely{dir: filepath.Join(dir, "netns"), next: 1}}
	if err := os.Symlink(archive, filepath.Join(dir, "archives", "test.tar")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "archives", "test.tar"))
	if err := os.WriteFile(filepath.Join(dir, "archives", "test.tar"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&locked{b: b}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if b.images, err = image.Open(image.Config{Dir: filepath.Join(dir, "data", "layers"), Archives: filepath.Join(dir, "archives")}, log); err != nil {
		t.Fatal(err)
	}
	for again := true; again; { // while a process that is just made by another test holds the file open
		if again, err = b.images.LoadArchives(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.cfg = Config{Node: state.Node(id), DataDir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run"), LogDir: filepath.Join(dir, "logs"),
		LogLinks: filepath.Join(dir, "links"), Shim: shim, NodeIP: netip.MustParseAddr("127.0.0.1"), Version: "v1.36.3",
		Eviction: pressure.Settings{Hard: map[string]string{"memory.available": "100Mi"}}} // not of how full the machine's disk is
	t.Cleanup(b.cleanup)
	b.up()
	return b
}

func (b *bed) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(&locked{b: b}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// up starts a runtime on what is there; down ends it as a crash would: containers stay.
func (b *bed) up() {
	b.t.Helper()
	r, err := New(b.cfg, b.images, b.net, b.world, b.event, b.log())
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	b.r = r
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
		b.stop = nil
	}
}

func (b *bed) restart() {
	b.t.Helper()
	b.stop()
	b.up()
}

func (b *bed) cleanup() {
	if b.stop == nil {
		b.up()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := b.r.Down(ctx, true); err != nil {
		b.t.Errorf("Down: %v", err)
	}
	b.stop()
	if b.t.Failed() {
		b.mu.Lock()
		b.t.Logf("log:\n%s", b.logs.String())
		for _, e := range b.events {
			b.t.Logf("event: %s %s %s: %s", e.Type, e.Reason, e.Ref, e.Message)
		}
		b.mu.Unlock()
	}
	if err := os.RemoveAll(b.dir); err != nil {
		b.t.Error(err)
	}
}

func (b *bed) event(e state.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

func (b *bed) saw(reason string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Reason == reason {
			return true
		}
	}
	return false
}

func (b *bed) isReady(name string) *corev1.PodStatus {
	b.t.Helper()
	return b.world.await(b.t, "default", name, "ready", 15*time.Second, ready)
}

type locked struct{ b *bed }

func (l *locked) Write(p []byte) (int, error) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	return l.b.logs.Write(p)
}

// lonely is a Network of namespaces that have loopback only.
type lonely struct {
	mu   sync.Mutex
	dir  string
	next byte
	ips  map[string]netip.Addr
}

func (n *lonely) Attach(_ context.Context, uid, _, _ string) (string, netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	path := filepath.Join(n.dir, uid)
	if ip, ok := n.ips[uid]; ok {
		return path, ip, nil
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return "", netip.Addr{}, err
	}
	if err := makeNetns(path); err != nil {
		return "", netip.Addr{}, err
	}
	if n.ips == nil {
		n.ips = map[string]netip.Addr{}
	}
	n.ips[uid] = netip.AddrFrom4([4]byte{10, 9, 0, n.next})
	n.next++
	return path, n.ips[uid], nil
}

func (n *lonely) Detach(_ context.Context, uid string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ips, uid)
	path := filepath.Join(n.dir, uid)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func makeNetns(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	failed := make(chan error, 1)
	go func() { // the thread is spoilt and ends with the goroutine
		goruntime.LockOSThread()
		failed <- func() error {
			if _, err := netns.New(); err != nil {
				return err
			}
			lo, err := netlink.LinkByName("lo")
			if err != nil {
				return err
			}
			if err := netlink.LinkSetUp(lo); err != nil {
				return err
			}
			return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}()
	}()
	return <-failed
}
