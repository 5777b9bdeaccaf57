package oci

import (
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

// Bind is a file or directory of the node shown in a container.
type Bind struct {
	Source      string // on the node, already checked
	Target      string // in the container
	ReadOnly    bool
	Recursive   bool // with what is mounted below
	Propagation corev1.MountPropagationMode
	// RecursiveReadOnly makes what is mounted below read-only as well.
	RecursiveReadOnly bool
	// Mapped: its files belong to the Pod's users already, where it has users of its own.
	Mapped bool
	// NoExec keeps its files from being run.
	NoExec bool
	// Hidden are paths below Target that show as empty directories.
	Hidden []string
}

// systemMounts are those that every container has.
func systemMounts(in *Input, ownUsers bool) []specs.Mount {
	access := "ro"
	if Privileged(in.Container) {
		access = "rw"
	}
	sys := specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", access}}
	if ownUsers { // the network is not the user namespace's own, so it may mount no sysfs of it
		sys.Type, sys.Source, sys.Options = "bind", in.SysPath, []string{"rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"}
	}
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		sys,
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", access}},
		{Destination: "/dev/shm", Type: "bind", Source: in.ShmPath, Options: []string{"rbind", "rprivate", "rw", "nosuid", "nodev", "noexec"}},
	}
}

// mounts is the whole list: system, then volumes, what lies deeper after what it lies in, then files of the node,
// which show in a volume that they lie in (a volume may stand where a system mount or a file of the node does, and
// then replaces it; one on /dev replaces all system mounts below it).
func mounts(f *Facts, in *Input) []specs.Mount {
	ownUsers := !HostUsers(f.Pod)
	var list []specs.Mount
	for _, s := range systemMounts(in, ownUsers) {
		if !in.mountedOver(s.Destination) && !(strings.HasPrefix(s.Destination, "/dev/") && in.mountedOver("/dev")) {
			list = append(list, s)
		}
	}
	binds := slices.Clone(in.Binds)
	slices.SortStableFunc(binds, func(a, b Bind) int { return depth(a.destination()) - depth(b.destination()) })
	for _, b := range binds {
		m := b.mount(ownUsers)
		list = append(list, m)
		for _, h := range b.Hidden {
			list = append(list, specs.Mount{Destination: path.Join(m.Destination, h), Type: "tmpfs", Source: "tmpfs",
				Options: []string{"ro", "nosuid", "nodev", "noexec", "size=0", "mode=000"}})
		}
	}
	for _, b := range in.Files {
		if !in.mountedOver(b.destination()) {
			list = append(list, b.mount(ownUsers))
		}
	}
	return list
}

func depth(target string) int { return strings.Count(target, "/") }

// mountedOver says that a volume stands at a clean path of the container.
func (in *Input) mountedOver(target string) bool {
	return slices.ContainsFunc(in.Binds, func(b Bind) bool { return b.destination() == target })
}

// destination is where the bind shows, a clean path: Kubernetes takes a relative mountPath as one below the root.
func (b *Bind) destination() string { return path.Join("/", b.Target) }

// mount is the bind. With ownUsers the files belong to the Pod's users as they do on disk to the node's.
func (b *Bind) mount(ownUsers bool) specs.Mount {
	options := []string{"bind", "rprivate"}
	if b.Recursive {
		options[0] = "rbind"
	}
	switch b.Propagation {
	case corev1.MountPropagationHostToContainer:
		options[1] = "rslave"
	case corev1.MountPropagationBidirectional:
		options[1] = "rshared"
	}
	options = append(options, b.access()...)
	switch {
	case b.Mapped: // overlayfs cannot be mapped again
	case ownUsers && b.Recursive:
		options = append(options, "ridmap")
	case ownUsers:
		options = append(options, "idmap")
	}
	return specs.Mount{Destination: b.destination(), Type: "bind", Source: b.Source, Options: options}
}
