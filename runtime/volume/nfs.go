package volume

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// nfsVersions are tried from the newest: servers know some of them.
var nfsVersions = [...]string{"4.2", "4.1", "4.0"}

// nfs mounts a directory of an NFS server. An abandoned mount that comes about later
// stays: the next Prepare finds it, or Remove takes it away.
func (s *Set) nfs(ctx context.Context, v *corev1.Volume) error {
	dir := s.Path(v.Name)
	if err := os.MkdirAll(dir, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	list, err := mountsBelow(dir)
	if err != nil || len(list) > 0 {
		return err
	}
	n := *v.NFS
	_, err = do(ctx, s.Calls, nfsSource(v), func() (struct{}, error) { return struct{}{}, mountNFS(context.WithoutCancel(ctx), dir, &n) }, nil)
	return err
}

func nfsSource(v *corev1.Volume) string { return "nfs " + v.NFS.Server + ":" + v.NFS.Path }

// mountNFS mounts as mount.nfs4 does, without it: the kernel wants the server's address.
func mountNFS(ctx context.Context, dir string, n *corev1.NFSVolumeSource) error {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", strings.Trim(n.Server, "[]"))
	if err != nil {
		return fmt.Errorf("mount failed: resolve NFS server: %w", err)
	}
	var flags uintptr
	if n.ReadOnly {
		flags = unix.MS_RDONLY
	}
	var last error
	for _, addr := range addrs {
		for _, version := range nfsVersions {
			last = unix.Mount(n.Server+":"+n.Path, dir, "nfs4", flags, nfsOptions(addr, version))
			switch {
			case last == nil:
				return nil
			case errors.Is(last, unix.ENODEV):
				return fmt.Errorf("mount failed: %s:%s: %w (the kernel of this node has no NFS client)", n.Server, n.Path, last)
			case !errors.Is(last, unix.EPROTONOSUPPORT) && !errors.Is(last, unix.EINVAL):
				return fmt.Errorf("mount failed: %s:%s: %w", n.Server, n.Path, last)
			}
		}
	}
	return fmt.Errorf("mount failed: %s:%s: %w", n.Server, n.Path, last)
}

func nfsOptions(addr netip.Addr, version string) string {
	proto := "tcp"
	if addr.Unmap().Is6() {
		proto = "tcp6"
	}
	return "vers=" + version + ",proto=" + proto + ",addr=" + addr.Unmap().String()
}
