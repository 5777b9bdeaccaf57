package api

import (
	"context"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/kubelet/client"

	"writ/api/kubelet"
)

// kubelets tells where the kubelet of a node is. Only that of this node is there now.
type kubelets struct {
	node  string
	local http.RoundTripper
}

// kubelets starts that of this node, until ctx ends.
func (s *Server) kubelets(ctx context.Context) client.ConnectionInfoGetter {
	local := kubelet.NewLocal()
	server := &http.Server{Handler: kubelet.Handler(s.cfg.Containers), ReadHeaderTimeout: headerTime}
	go func() { _ = server.Serve(local) }()
	context.AfterFunc(ctx, func() { server.Close() })
	return &kubelets{s.cfg.Node, local.Transport()}
}

// GetConnectionInfo is client.ConnectionInfoGetter's.
func (k *kubelets) GetConnectionInfo(_ context.Context, node types.NodeName) (*client.ConnectionInfo, error) {
	if string(node) != k.node {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("node %s is not reached from here, which is %s", node, k.node))
	}
	return &client.ConnectionInfo{
		Scheme: "http", Hostname: "kubelet.invalid", Port: "80", // names of no machine: the transport knows where
		Transport: k.local, InsecureSkipTLSVerifyTransport: k.local,
	}, nil
}
