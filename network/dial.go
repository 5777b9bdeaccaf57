package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/vishvananda/netns"
)

// Dial connects to a TCP port of a pod's own loopback, as who is inside the pod would.
func (n *Network) Dial(ctx context.Context, uid string, port uint16) (net.Conn, error) {
	if err := checkUID(uid); err != nil {
		return nil, err
	}
	path := n.netnsPath(uid)
	if !isNetns(path) {
		return nil, errors.New("the pod has no network")
	}
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	defer ns.Close()
	const limit = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var conn net.Conn
	err = inNetns(ns, func() error {
		var d net.Dialer
		var first error
		for _, loopback := range []string{"127.0.0.1", "::1"} { // a name would be looked up on another thread
			var err error
			if conn, err = d.DialContext(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(int(port)))); err == nil {
				return nil
			}
			if first == nil {
				first = err
			}
		}
		return first
	})
	return conn, err
}
