package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"gopkg.in/natefinch/lumberjack.v2"

	"writ/api"
	"writ/api/control"
	"writ/api/eventstore"
	"writ/manifest"
	"writ/pki"
	"writ/state"
	"writ/state/event"
)

// apiConfig is what `writ up` is told of the Kubernetes API.
type apiConfig struct{ listen string }

func (c *apiConfig) flags(f *pflag.FlagSet) {
	f.StringVar(&c.listen, "api-listen", "127.0.0.1:6443", "address of the Kubernetes API for clients outside the cluster; empty for none")
}

// kubeAPI is the node's Kubernetes API.
type kubeAPI struct {
	listener net.Listener // for clients outside the cluster, nil if there are none
	keys     *pki.Keys
}

func (n *node) listenAPI(keys *pki.Keys) error {
	upstreamLog(n.log)
	n.api = &kubeAPI{keys: keys}
	if n.cfg.api.listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", n.cfg.api.listen)
	if err != nil {
		return fmt.Errorf("--api-listen: %w", err)
	}
	n.api.listener = l
	return nil
}

// serveAPI answers the Kubernetes API until ctx ends.
func (n *node) serveAPI(ctx context.Context) error {
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	address := "kubernetes.default.svc:443"
	var listeners []net.Listener
	if l := n.api.listener; l != nil {
		listeners, address = append(listeners, l), l.Addr().String()
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsUnspecified() && !tcp.IP.IsLoopback() {
			ips = append(ips, tcp.IP)
		}
	}
	names := []string{"localhost", n.cfg.node, "kubernetes", "kubernetes.default", "kubernetes.default.svc", strings.TrimPrefix(n.issuer(), "https://")}
	return api.New(api.Config{
		Node: n.cfg.node, Containers: kubeletContainers{n}, Events: toldEvents{n.events}, Began: n.began, Join: n.joined, OpenID: n, Measure: measured{n}, Audit: n.auditLog(), Feed: n.store, Whereto: n.whereto, CA: n.api.keys.CA, Account: n.api.keys.Account, Issuer: n.issuer, Log: n.log.With("component", "api"),
		Serving: api.NewServing(n.api.keys.CA, n.api.keys.CAKey, names, ips), Address: address, Service: true,
	}).Run(ctx, listeners...)
}

// toldEvents gives the API the events in its own words.
type toldEvents struct{ *event.Ring }

func (t toldEvents) List(after uint64) ([]eventstore.Told, uint64) {
	entries, last := t.Ring.List(event.Filter{After: after})
	list := make([]eventstore.Told, len(entries))
	for i, e := range entries {
		list[i] = eventstore.Told{Event: e.Event, Sequence: e.Sequence}
	}
	return list, last
}

// joined adds to an object of the repository where it is written and which commit changed it last.
func (n *node) joined(r *state.Record, o manifest.Object) {
	if r.Origin != state.Authored {
		return
	}
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	if set := n.loop.Set(); set != nil {
		if item, ok := set.Get(r.Ref); ok {
			annotations[manifest.SourceAnnotation] = item.Source.String()
		}
	}
	annotations[manifest.ChangedByAnnotation] = r.Commit
	o.SetAnnotations(annotations)
}

// auditLog is where the API tells who did what: a file that is begun anew when it is long, of which some are kept.
func (n *node) auditLog() *lumberjack.Logger {
	const megabytes, kept, days = 64, 8, 30
	dir := filepath.Join(n.cfg.dataDir, "audit")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		n.log.Error("nothing is audited", "err", err)
	}
	return &lumberjack.Logger{Filename: filepath.Join(dir, "audit.log"), MaxSize: megabytes, MaxBackups: kept, MaxAge: days, Compress: true}
}

// whereto is where the objects of the cluster are written.
func (n *node) whereto() api.Place {
	source, place, adopted := n.mirror.State(), n.place(), n.store.World().Adopted()
	if place == nil {
		place = func(manifest.Ref) (manifest.Source, bool) { return manifest.Source{}, false }
	}
	return api.Place{Repository: source.URL, Branch: adopted.Branch, Source: place}
}

// Kubeconfig makes a user's configuration of kubectl.
func (n *node) Kubeconfig(q control.KubeconfigQuery) ([]byte, error) {
	if n.api.listener == nil {
		return nil, fmt.Errorf("this daemon serves the Kubernetes API to its pods only: --api-listen is empty")
	}
	user := api.User{Name: q.User, Groups: q.Groups, TTL: q.TTL, Now: time.Now()}
	if len(q.CSR) > 0 {
		return user.Certificate(n.api.keys.CA, n.api.keys.CAKey, q.CSR)
	}
	return user.Kubeconfig("https://"+reachable(n.api.listener.Addr()), n.api.keys.CA, n.api.keys.CAKey)
}

// reachable is an address that clients of this node can connect to.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
}
