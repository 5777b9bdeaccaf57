package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
)

func grpcOnce(ctx context.Context, h *corev1.GRPCAction, t *Target) Answer {
	address := net.JoinHostPort(t.IP, strconv.Itoa(int(h.Port)))
	limit := time.Duration(0)
	if end, ok := ctx.Deadline(); ok {
		limit = time.Until(end).Round(time.Second)
	}
	var refused atomic.Bool
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithUserAgent(userAgent),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, a string) (net.Conn, error) {
			c, err := dialer().DialContext(ctx, "tcp", a)
			refused.Store(errors.Is(err, syscall.ECONNREFUSED))
			return c, err
		}))
	if err != nil {
		return Answer{Message: fmt.Sprintf("error: failed to connect service at %q: %+v", address, err)}
	}
	defer conn.Close()
	if answer := connected(ctx, conn, &refused, address, limit); answer != nil {
		return *answer
	}
	request := &health.HealthCheckRequest{}
	if h.Service != nil {
		request.Service = *h.Service
	}
	response, err := health.NewHealthClient(conn).Check(ctx, request)
	if err != nil {
		return Answer{Message: rpcText(err, limit)}
	}
	if s := response.GetStatus(); s != health.HealthCheckResponse_SERVING {
		return Answer{Message: fmt.Sprintf("service unhealthy (responded with %q)", s.String())}
	}
	return Answer{OK: true, Message: "service healthy"}
}

// connected waits for the connection. It does not wait for a server that is not there: a probe that comes
// soon asks again.
func connected(ctx context.Context, conn *grpc.ClientConn, refused *atomic.Bool, address string, limit time.Duration) *Answer {
	conn.Connect()
	for {
		state := conn.GetState()
		switch {
		case state == connectivity.Ready:
			return nil
		case state == connectivity.TransientFailure && refused.Load():
			return &Answer{Refused: true, Message: unconnected(address, limit)}
		}
		if !conn.WaitForStateChange(ctx, state) {
			return &Answer{Message: unconnected(address, limit)}
		}
	}
}

func unconnected(address string, limit time.Duration) string {
	return fmt.Sprintf("timeout: failed to connect service %q within %v: %v", address, limit, context.DeadlineExceeded)
}

// rpcText is what failed of a call, in the words of upstream's probe.
func rpcText(err error, limit time.Duration) string {
	if s, ok := status.FromError(err); ok {
		switch s.Code() {
		case codes.Unimplemented:
			return "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): " + s.Message()
		case codes.DeadlineExceeded:
			return fmt.Sprintf("timeout: health rpc did not complete within %v", limit)
		}
	}
	return fmt.Sprintf("error: health rpc probe failed: %+v", err)
}
