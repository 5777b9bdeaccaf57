package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	rungroup "github.com/oklog/run"

	"writ/api/control"
	"writ/dns"
	"writ/network"
	"writ/reconcile"
	"writ/reconcile/loop"
	"writ/reconcile/loop/metrics"
	noderuntime "writ/runtime"
	"writ/runtime/image"
	"writ/runtime/token"
	"writ/sockets"
	"writ/state"
	"writ/state/event"
	"writ/state/history"
	"writ/state/store"
	gitsync "writ/sync"
)

// node is the daemon: every part of it, wired.
type node struct {
	cfg     config
	log     *slog.Logger
	store   *store.Store
	mirror  *gitsync.Mirror
	commits chan loop.Commit
	loop    *loop.Loop
	clock   *loop.Clock
	meter   *metrics.Collector // of what autoscalers ask for
	network *network.Network
	images  *image.Store
	runtime *noderuntime.Runtime
	dns     *dns.Server
	events  *event.Ring
	began   time.Time        // when the events begin
	history *history.History // nil if it cannot be kept
	socket  net.Listener
	tokens  *token.Issuer
	rootCA  string // PEM
	// configKey is the key of digests of configuration.
	configKey []byte
	sockets   *sockets.Keeper
	api       *kubeAPI

	stop    context.CancelFunc // ends the parts, set by run
	ending  <-chan struct{}    // closed when they are told to end, set by run
	stopped chan struct{}      // closed when they have ended
	going   sync.Mutex         // held while `writ down` is carried out
	purge   bool               // set by it when all went well
}

// open makes every part; nothing runs yet. What was opened is closed again if a later part fails.
func open(ctx context.Context, cfg config, log *slog.Logger) (n *node, err error) {
	if err := claim(cfg.dataDir); err != nil {
		return nil, err
	}
	if err := claimRun(cfg.runDir); err != nil {
		return nil, err
	}
	n = &node{cfg: cfg, log: log, commits: make(chan loop.Commit), stopped: make(chan struct{})}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	n.events, n.began = event.NewRing(event.Config{}), time.Now()
	if n.socket, err = control.Listen(filepath.Join(cfg.runDir, socketName)); err != nil {
		return n, err
	}
	if n.store, err = openStore(cfg, log); err != nil {
		return n, err
	}
	n.openHistory()
	if n.mirror, err = gitsync.New(n.source(), log); err != nil {
		return n, err
	}
	if n.network, err = network.New(n.links(), log); err != nil {
		return n, err
	}
	if n.images, err = image.Open(cfg.image.store(cfg.dataDir), log); err != nil {
		return n, err
	}
	if _, err = n.images.LoadArchives(ctx); err != nil { // before a pod asks for what is in them
		return n, err
	}
	if err = n.openKeys(); err != nil {
		return n, err
	}
	if n.runtime, err = noderuntime.New(n.runtimeConfig(), n.images, n.network, n.store, n.events.Record, log); err != nil {
		return n, err
	}
	n.sockets = sockets.Open(sockets.Config{Binary: cfg.shim, Dir: cfg.runDir, Log: log})
	names := dns.Config{Node: n.name(), QueriesPerSecond: cfg.dnsRate, Resolvers: n.resolvers(), Sockets: n.sockets}
	if n.dns, err = dns.New(names, n.store, log); err != nil {
		return n, err
	}
	loader, err := nodeLoader(ctx, cfg, log)
	if err != nil {
		return n, err
	}
	if n.clock, err = loop.NewClock(); err != nil {
		return n, err
	}
	n.loop, err = loop.New(loop.Config{
		ClockSet: n.clock.Set(),
		Commits:  n.commits, Ancestor: n.mirror.Ancestor, Adopted: n.adoptedBefore, Record: n.events.Record, Progress: n.passed,
		Loader:  loader,
		Options: reconcile.Options{Node: cfg.node, OS: goruntime.GOOS, Arch: goruntime.GOARCH, RootCA: n.rootCA, Volumes: noderuntime.VolumesDir(cfg.dataDir), EndedPods: cfg.eviction.ended(), ConfigKey: n.configKey},
	}, n.store, log)
	if err != nil {
		return n, err
	}
	if n.meter, err = n.collector(); err != nil {
		return n, err
	}
	if err = n.restore(ctx); err != nil {
		return n, err
	}
	return n, n.settle(ctx)
}

func (n *node) name() state.Node { return state.Node(n.cfg.node) }

// links is the network's part of the configuration. The runtime, which it asks which pods are not
// looked at yet, is made after it and before it runs.
func (n *node) links() network.Config {
	return network.Config{
		Node: n.name(), DataDir: n.cfg.dataDir, RunDir: n.cfg.runDir,
		Settling: func() (map[string]bool, <-chan struct{}) { return n.runtime.Settling() },
	}
}

// openStore opens the store, or makes it anew where that was asked for.
func openStore(cfg config, log *slog.Logger) (*store.Store, error) {
	c := store.Config{Dir: filepath.Join(cfg.dataDir, "store")}
	if cfg.rebuild {
		id, err := store.Rebuild(c)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		c.Cluster = id
	}
	return store.Open(c, log)
}

// close closes what is open. Errors are of no use to anybody any more.
func (n *node) close() {
	if n.images != nil {
		n.images.Close()
	}
	if n.sockets != nil {
		n.report("sockets", n.sockets.Close())
	}
	if n.network != nil {
		n.report("network", n.network.Close())
	}
	if n.mirror != nil {
		n.report("mirror", n.mirror.Close())
	}
	if n.history != nil {
		n.report("history", n.history.Close())
	}
	if n.store != nil {
		n.report("store", n.store.Close())
	}
	if n.api != nil && n.api.listener != nil {
		n.api.listener.Close()
	}
	if n.socket != nil {
		n.socket.Close()
	}
}

func (n *node) report(part string, err error) {
	if err != nil {
		n.log.Error("not closed cleanly", "part", part, "err", err)
	}
}

// run runs every part until ctx ends, one of them fails, or `writ down` is asked for.
func (n *node) run(ctx context.Context) error {
	work, stop := context.WithCancel(ctx)
	n.stop, n.ending = stop, work.Done()
	defer stop()
	socketCtx, endSocket := context.WithCancel(context.WithoutCancel(ctx))
	server := control.NewServer(n.store, told{n.events}, containers{n.runtime}, n, n.log).WithImages(nodeImages{n}).WithAccess(n)
	served := make(chan error, 1)
	go func() { served <- server.Serve(socketCtx, n.socket) }()

	var group rungroup.Group
	group.Add(func() error { <-work.Done(); return nil }, func(error) { stop() })
	for name, part := range n.parts() {
		group.Add(func() error { return named(name, part(work)) }, func(error) { stop() })
	}
	n.log.Info("up", "node", n.cfg.node, "repo", n.mirror.State().URL, "version", version)
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		n.log.Warn("systemd was not told", "err", err)
	}
	err := group.Run()
	close(n.stopped)
	server.Wait() // a `writ down` on its way tells its end first
	endSocket()
	<-served
	n.close()
	if n.purge {
		err = errors.Join(err, purge(n.cfg.dataDir), purgeRun(n.cfg.runDir))
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// parts are what runs, by name.
func (n *node) parts() map[string]func(context.Context) error {
	parts := map[string]func(context.Context) error{
		"store":   n.store.Run,
		"sync":    n.mirror.Run,
		"commits": n.deliver,
		"loop":    n.loop.Run,
		"clock":   n.clock.Run,
		"meter":   n.meter.Run,
		"network": func(ctx context.Context) error { return n.network.Run(ctx, n.store) },
		"images":  n.images.Run,
		"pins":    n.pinImages,
		"runtime": n.runtime.Run,
		"dns":     n.dns.Run,
		"api":     n.serveAPI,
		"sockets": n.sockets.Run,
	}
	if n.cfg.metrics != "" {
		parts["metrics"] = n.serveMetrics
	}
	if n.cfg.hooks.listen != "" {
		parts["webhooks"] = n.serveHooks
	}
	return parts
}

// named tells which part failed. Ending because of the context is no failure.
func named(part string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: %w", part, err)
}

// resolvers reads the node's own nameservers, which must not be the cluster's.
func (n *node) resolvers() func() []string {
	watch := &resolvConf{file: "/etc/resolv.conf"}
	return func() []string {
		own := n.network.DNSAddress()
		return watch.servers(own)
	}
}

// resolvConf reads the nameservers of a file again when it has changed.
type resolvConf struct {
	file string

	mu     sync.Mutex
	stamp  time.Time
	except netip.Addr
	read   []string
}

func (r *resolvConf) servers(except netip.Addr) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := os.Stat(r.file)
	if err != nil {
		return r.read
	}
	if info.ModTime().Equal(r.stamp) && except == r.except {
		return r.read
	}
	if servers, err := dns.Resolvers(r.file, except.String()); err == nil {
		r.stamp, r.except, r.read = info.ModTime(), except, servers
	}
	return r.read
}
