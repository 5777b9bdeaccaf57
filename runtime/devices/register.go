package devices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	corev1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// socketName is where plugins register.
const socketName = "kubelet.sock"

// registrar answers plugins.
type registrar struct {
	api.UnimplementedRegistrationServer
	m   *Manager
	ctx context.Context // of Run: plugins are listened to as long as it lasts
}

// Run serves registrations until ctx ends. Sockets that are there are removed: a plugin takes that as the sign
// to register again.
func (m *Manager) Run(ctx context.Context) error {
	if err := os.MkdirAll(m.cfg.Dir, 0o750); err != nil {
		return fmt.Errorf("serve device plugins: %w", err)
	}
	if err := m.clear(); err != nil {
		return fmt.Errorf("serve device plugins: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", filepath.Join(m.cfg.Dir, socketName))
	if err != nil {
		return fmt.Errorf("serve device plugins: %w", err)
	}
	server := grpc.NewServer()
	api.RegisterRegistrationServer(server, &registrar{m: m, ctx: ctx})
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	err = server.Serve(listener)
	m.disconnect()
	if ctx.Err() != nil || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

func (m *Manager) clear() error {
	entries, err := os.ReadDir(m.cfg.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type()&fs.ModeSocket != 0 {
			if err := os.Remove(filepath.Join(m.cfg.Dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// Register is a plugin that says where it listens.
func (r *registrar) Register(ctx context.Context, q *api.RegisterRequest) (*api.Empty, error) {
	err := func() error {
		switch {
		case !slices.Contains(api.SupportedVersions[:], q.Version):
			return fmt.Errorf("requested API version %q is not supported by kubelet. Supported version is %q", q.Version, api.SupportedVersions)
		case !corev1helper.IsExtendedResourceName(corev1.ResourceName(q.ResourceName)):
			return fmt.Errorf("the ResourceName %q is invalid", q.ResourceName)
		case q.Endpoint == "" || q.Endpoint == "." || q.Endpoint == ".." || strings.ContainsRune(q.Endpoint, filepath.Separator):
			return fmt.Errorf("the Endpoint %q is not the name of a socket beside %s", q.Endpoint, socketName)
		}
		return r.m.connect(ctx, r.ctx, q.ResourceName, q.Endpoint)
	}()
	if err != nil {
		r.m.log.Warn("device plugin is not registered", "resource", q.ResourceName, "endpoint", q.Endpoint, "err", err)
		return &api.Empty{}, err
	}
	r.m.log.Info("device plugin registered", "resource", q.ResourceName, "endpoint", q.Endpoint)
	return &api.Empty{}, nil
}
