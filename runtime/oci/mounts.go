package oci

import (
	"path"
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
	// NoExec keeps its files from being run.
	NoExec bool
	// Hidden are paths below Target that show as empty directories.
	Hidden []string
}

// systemMounts are those that every container has.
func systemMounts(m *Machine, in *Input) []specs.Mount {
	privileged := Privileged(in.Container)
	sys := specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}}
	group := specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}}
	if privileged {
		sys.Options[3], group.Options[4] = "rw", "rw"
	}
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		sys, group,
		{Destination: "/dev/shm", Type: "bind", Source: in.ShmPath, Options: []string{"rbind", "rprivate", "rw", "nosuid", "nodev", "noexec"}},
	}
}

// mounts is the whole list: system, then files of the node, then volumes in the
// Pod's order (a volume may stand where a system mount does, and then replaces it).
func mounts(m *Machine, in *Input) []specs.Mount {
	var list []specs.Mount
	for _, s := range systemMounts(m, in) {
		if !in.mountedOver(s.Destination) {
			list = append(list, s)
		}
	}
	for _, b := range in.Files {
		if !in.mountedOver(b.Target) {
			list = append(list, b.mount(""))
		}
	}
	for _, b := range in.Binds {
		m := b.mount("rprivate")
		list = append(list, m)
		for _, h := range b.Hidden {
			list = append(list, specs.Mount{Destination: path.Join(m.Destination, h), Type: "tmpfs", Source: "tmpfs",
				Options: []string{"ro", "nosuid", "nodev", "noexec", "size=0", "mode=000"}})
		}
	}
	return list
}

func (in *Input) mountedOver(target string) bool {
	for _, b := range in.Binds {
		if path.Clean(b.Target) == target {
			return true
		}
	}
	return false
}

func (b *Bind) mount(propagation string) specs.Mount {
	options := []string{"bind"}
	if b.Recursive {
		options[0] = "rbind"
	}
	switch b.Propagation {
	case corev1.MountPropagationHostToContainer:
		propagation = "rslave"
	case corev1.MountPropagationBidirectional:
		propagation = "rshared"
	}
	if propagation == "" {
		propagation = "rprivate"
	}
	options = append(options, propagation)
	if b.ReadOnly {
		options = append(options, "ro")
	} else {
		options = append(options, "rw")
	}
	target := b.Target
	if !strings.HasPrefix(target, "/") {
		target = "/" + target // Kubernetes takes a relative mountPath as one below the root
	}
	return specs.Mount{Destination: path.Clean(target), Type: "bind", Source: b.Source, Options: options}
}
