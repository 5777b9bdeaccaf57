package probe

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
)

func grpcOnce(ctx context.Context, h *corev1.GRPCAction, t *Target) Answer {
	address := net.JoinHostPort(t.IP, strconv.Itoa(int(h.Port)))
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithUserAgent(userAgent),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, a string) (net.Conn, error) { return dialer().DialContext(ctx, "tcp", a) }))
	if err != nil {
		return Answer{Message: fmt.Sprintf("error: failed to connect service %q: %v", address, err)}
	}
	defer conn.Close()
	request := &health.HealthCheckRequest{}
	if h.Service != nil {
		request.Service = *h.Service
	}
	response, err := health.NewHealthClient(conn).Check(ctx, request)
	if err != nil {
		return Answer{Message: fmt.Sprintf("error: health rpc probe failed: %v", err)}
	}
	if s := response.GetStatus(); s != health.HealthCheckResponse_SERVING {
		return Answer{Message: fmt.Sprintf("service unhealthy (responded with %q)", s.String())}
	}
	return Answer{OK: true}
}
