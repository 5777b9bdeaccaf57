package main

import (
	"context"
	"fmt"
	"io"
	"net"

	"writ/api/kubelet"
	"writ/manifest"
	noderuntime "writ/runtime"
)

// kubeletContainers gives the API this node's containers.
type kubeletContainers struct{ n *node }

func (c kubeletContainers) Logs(ctx context.Context, q kubelet.LogQuery, out io.Writer) error {
	return c.n.runtime.Logs(ctx, q.Namespace, q.Pod, q.Container, noderuntime.LogOptions{
		Follow: q.Follow, Previous: q.Previous, Timestamps: q.Timestamps, Tail: q.Tail, Since: q.Since, LimitBytes: q.LimitBytes,
	}, out)
}

func (c kubeletContainers) Exec(ctx context.Context, q kubelet.ExecQuery, s kubelet.Streams) (int, error) {
	o := noderuntime.ExecOptions{
		Namespace: q.Namespace, Pod: q.Pod, Container: q.Container, Command: q.Command, TTY: q.Terminal,
		Stdin: s.Stdin, Stdout: s.Stdout, Stderr: s.Stderr, Resize: s.Resize,
	}
	if q.Attach {
		return c.n.runtime.Attach(ctx, o)
	}
	return c.n.runtime.Exec(ctx, o)
}

func (c kubeletContainers) Dial(ctx context.Context, namespace, pod string, port uint16) (net.Conn, error) {
	record := c.n.store.World().Get(manifest.PodRef(namespace, pod))
	if record == nil || record.Node != c.n.name() {
		return nil, fmt.Errorf("pod %s/%s on this node: %w", namespace, pod, noderuntime.ErrNotFound)
	}
	if record.Pod().Spec.HostNetwork {
		return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
	}
	return c.n.network.Dial(ctx, string(record.UID), port)
}
