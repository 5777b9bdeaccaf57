package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/filters"
	restclient "k8s.io/client-go/rest"
	"k8s.io/component-base/compatibility"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/serviceaccount"

	"writ/api/access"
	"writ/api/eventstore"
	"writ/api/kubelet"
	"writ/api/resourcemetrics"
	"writ/api/worldstore"
	"writ/manifest"
)

// Config is what a Server stands on.
type Config struct {
	Feed    worldstore.Feed
	Join    worldstore.Joined // adds where an object is written
	Whereto Whereto           // what a refused write is told
	CA      *x509.Certificate // of clients
	Serving *Serving
	Account *ecdsa.PrivateKey // signs tokens of ServiceAccounts
	Issuer  func() string     // of those tokens
	Address string            // host:port for clients on this node
	Service bool              // answer pods at the cluster IP of Service default/kubernetes, too
	// Node is this one, and Containers are its.
	Node       string
	Containers kubelet.Containers
	Events     eventstore.Events
	Measure    resourcemetrics.Measure
	OpenID     OpenID
	Audit      io.Writer // of who did what that matters; nil for none
	Began      time.Time // when the events begin
	Log        *slog.Logger
}

// Server is the Kubernetes API. What it is made of takes memory, so that it is made when somebody first asks.
type Server struct {
	cfg Config
	ctx context.Context // of what runs beside the requests

	mu   sync.Mutex // of making it
	made atomic.Pointer[made]
}

// made is what answers, for settings of the cluster. They are fixed at the first adoption, but who asks before it is answered, too.
type made struct {
	of      settings
	handler http.Handler
	stop    context.CancelFunc // of what runs beside it
}

// settings are those of writ.yaml that what answers is made for.
type settings struct{ issuer, services, nodePorts string }

func (s *Server) settings() settings {
	spec := s.cfg.Feed.World().Adopted().Settings.Spec
	if spec.ServiceCIDR == "" { // nothing is adopted
		spec = manifest.DefaultSettings().Spec
	}
	return settings{s.cfg.Issuer(), spec.ServiceCIDR, spec.NodePorts}
}

// Bounds of a connection.
const (
	headerTime, idleTime = 30 * time.Second, 90 * time.Second
	headerMost           = 1 << 20 // bytes
)

// New makes a server; nothing listens before Run.
func New(cfg Config) *Server { return &Server{cfg: cfg} }

// Run answers on the listeners, which it owns, until ctx ends.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.ctx = beside
	server := &http.Server{
		Handler: s, TLSConfig: s.cfg.Serving.config(), ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: headerMost,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 100, MaxReceiveBufferPerStream: 256 << 10, MaxReceiveBufferPerConnection: 1 << 20},
	}
	if s.cfg.Service {
		following, unfollow := context.WithCancel(ctx)
		followed := make(chan struct{})
		go func() { defer close(followed); s.follow(following, server) }()
		defer func() { unfollow(); <-followed }()
	}
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- server.ServeTLS(l, "", "") }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	const farewell = 200 * time.Millisecond // of requests that are being answered
	last, cancel := context.WithTimeout(beside, farewell)
	defer cancel()
	if server.Shutdown(last) != nil {
		_ = server.Close() // watches and streams do not end by themselves
	}
	return err
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	of := s.settings()
	m := s.made.Load()
	if m == nil || m.of != of {
		m = s.remake(of)
	}
	m.handler.ServeHTTP(w, r)
}

// remake makes what answers for settings, and ends what was made for others.
func (s *Server) remake(of settings) *made {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.made.Load()
	if old != nil && old.of == of {
		return old
	}
	began := time.Now()
	ctx, stop := context.WithCancel(s.ctx)
	m := &made{of, http.HandlerFunc(broken), stop}
	defer func() { // also if making it panics
		s.made.Store(m)
		if old != nil {
			old.stop()
		}
	}()
	handler, err := s.build(ctx, of)
	if err != nil {
		s.cfg.Log.Error("the API cannot be served", "err", err)
		return m
	}
	m.handler = handler
	s.cfg.Log.Debug("the API is ready", "took", time.Since(began))
	return m
}

func broken(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "the API cannot be served; the daemon's log says why", http.StatusInternalServerError)
}

// build makes what answers. What runs beside it ends with ctx.
func (s *Server) build(ctx context.Context, of settings) (http.Handler, error) {
	rules := access.NewRBAC(s.cfg.Feed)
	authz, err := access.NewAuthorizer(rules)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	c := genericapiserver.NewConfig(legacyscheme.Codecs)
	c.EffectiveVersion = version{compatibility.NewEffectiveVersionFromString(kubernetesMinor, kubernetesMinor, kubernetesMinor)}
	c.ExternalAddress = s.cfg.Address
	c.LoopbackClientConfig = &restclient.Config{Host: "https://" + s.cfg.Address} // of hooks that nothing here has
	tokens, err := access.NewTokens(s.cfg.Feed, &s.cfg.Account.PublicKey, of.issuer)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	signer, err := serviceaccount.JWTTokenGenerator(of.issuer, s.cfg.Account)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	c.Authentication.APIAudiences = authenticator.Audiences{of.issuer}
	c.Authentication.Authenticator = access.NewAuthenticator(s.cfg.CA, tokens)
	c.Authorization.Authorizer = authz
	c.RuleResolver = rules
	c.EnableProfiling = false
	c.LongRunningFunc = filters.BasicLongRunningRequestCheck(sets.NewString("watch", "proxy"), sets.NewString("attach", "exec", "proxy", "log", "portforward"))
	if s.cfg.Audit != nil {
		auditTo(c, s.cfg.Audit)
	}
	documents := newDocuments(c)
	o := options{worldstore.New(ctx, s.cfg.Feed, s.cfg.Join), eventstore.New(s.cfg.Events, s.cfg.Node, s.cfg.Began), map[schema.GroupResource]schema.GroupKind{}}
	c.RESTOptionsGetter = o
	c.BuildHandlerChainFunc = func(h http.Handler, c *genericapiserver.Config) http.Handler {
		return genericapiserver.DefaultBuildHandlerChain(&refuser{h, s.cfg.Feed, s.cfg.Whereto, o.kinds, c.Serializer}, c)
	}
	generic, err := c.Complete(nil).New("writ", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	legacy, err := core(o, of, s.kubelets(ctx), http.DefaultTransport, authz, signer, c.Authentication.APIAudiences)
	if err != nil {
		return nil, fmt.Errorf("api: core: %w", err)
	}
	if err := generic.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, legacy); err != nil {
		return nil, fmt.Errorf("api: core: %w", err)
	}
	var groups []*genericapiserver.APIGroupInfo
	for _, p := range providers(c.Authentication.Authenticator, c.Authentication.APIAudiences, authz, rules) {
		info, err := p.NewRESTStorage(enabled(), o)
		if err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		info.PrioritizedVersions = versions(info.PrioritizedVersions)
		groups = append(groups, &info)
	}
	groups = append(groups, resourcemetrics.Group(s.cfg.Feed, s.cfg.Node, s.cfg.Measure))
	if err := generic.InstallAPIGroups(groups...); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	documents.install(generic.Handler)
	installOpenID(generic.Handler, s.cfg.OpenID)
	prepared := generic.PrepareRun()
	go func() {
		if err := prepared.RunWithContext(ctx); err != nil {
			s.cfg.Log.Error("beside the API", "err", err)
		}
	}()
	return prepared.Handler, nil
}
