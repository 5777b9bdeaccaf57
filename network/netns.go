package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// onThread runs f on a thread of its own, which f may take into another network namespace. A thread
// that cannot return to where it was ends.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		before, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("open network namespace: %w", err)
			return
		}
		defer before.Close()
		err = f()
		if netns.Set(before) == nil { // else the thread ends with the goroutine
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// inNetns runs f on a thread that is in the network namespace.
func inNetns(ns netns.NsHandle, f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// isNetns says whether a file is a network namespace that is kept by a mount.
func isNetns(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC
}

// makeNetns makes a network namespace that lives as long as the file at path is a mount, and prepares
// it for a pod. What an earlier attempt left there is replaced.
func makeNetns(path string) error {
	if err := dropNetns(path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make file of network namespace: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("make file of network namespace: %w", err)
	}
	if err := onThread(func() error { return unshareTo(path) }); err != nil {
		return errors.Join(err, dropNetns(path))
	}
	return nil
}

// unshareTo leaves the thread in a new namespace.
func unshareTo(path string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make network namespace: %w", err)
	}
	for key, value := range podSysctls {
		if err := writeSysctl(key, value); err != nil {
			return err
		}
	}
	// The mount comes last: a file that is a mount is a namespace that is prepared.
	if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount network namespace: %w", err)
	}
	return nil
}

// dropNetns removes a namespace's file and mount; its processes keep the namespace.
func dropNetns(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove network namespace: %w", err)
	}
	return nil
}

func (n *Network) netnsPath(uid string) string { return filepath.Join(n.netnsDir(), uid) }

func (n *Network) netnsDir() string { return filepath.Join(n.cfg.RunDir, "netns") }
