package oci

import (
	"io/fs"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

// Input is one container to be.
type Input struct {
	Container *corev1.Container
	// RootPath is the mounted root file system, Root the same to read accounts from.
	RootPath string
	Root     fs.FS
	// The image's own wishes.
	ImageUser            string
	ImageEnv             []string
	ImageEntrypoint, Cmd []string
	ImageDir             string
	// CgroupPath is absolute below each hierarchy's root.
	CgroupPath string
	// Hostname is the Pod's.
	Hostname string
	// ShmPath is what the Pod's containers share as /dev/shm.
	ShmPath string
	// Files are the node's files that every container sees: hosts, hostname,
	// resolv.conf, the termination message. Binds are the volumes.
	Files []Bind
	Binds []Bind
	// SysPath is a sysfs of the Pod's network, for a Pod with a user namespace.
	SysPath string
	// ProcessLabel and MountLabel are the Pod's for SELinux, empty without.
	ProcessLabel, MountLabel string
}

// Spec makes the runtime specification. Namespaces that the Pod shares have no
// path: the shim fills in its own. The error matches ErrConfig.
func Spec(f *Facts, in *Input) (*specs.Spec, error) {
	c, pod := in.Container, f.Pod
	env, err := Env(f, c)
	if err != nil {
		return nil, err
	}
	args, err := Args(c, in.ImageEntrypoint, in.Cmd, env)
	if err != nil {
		return nil, err
	}
	user, err := User(pod, c, in.ImageUser, in.Root)
	if err != nil {
		return nil, err
	}
	score := OOMScore(&f.Machine, pod, c)
	spec := &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: in.RootPath, Readonly: readonlyRoot(c)},
		Process: &specs.Process{
			Terminal: c.TTY, Args: args, Cwd: workingDir(c, in.ImageDir), User: user,
			Env:             environ(in.ImageEnv, env, in.Hostname, c.TTY),
			Capabilities:    capabilities(&f.Machine, c),
			NoNewPrivileges: noNewPrivileges(c),
			OOMScoreAdj:     &score,
		},
		Mounts: mounts(f, in),
		Linux: &specs.Linux{
			CgroupsPath: in.CgroupPath,
			Namespaces:  namespaces(&f.Machine, pod, c),
			Resources:   ContainerResources(&f.Machine, pod, c),

			RootfsPropagation: rootPropagation(in.Binds),
		},
	}
	if !unmasked(c) {
		spec.Linux.MaskedPaths, spec.Linux.ReadonlyPaths = append(maskedPaths[:], f.Machine.HotPaths...), readonlyPaths[:]
	}
	setDevices(&f.Machine, Privileged(c), spec)
	if err := setLabels(&f.Machine.LSM, pod, c, in, spec); err != nil {
		return nil, err
	}
	return spec, setSeccomp(&f.Machine, pod, c, spec)
}

func workingDir(c *corev1.Container, image string) string {
	switch {
	case c.WorkingDir != "":
		return c.WorkingDir
	case image != "":
		return image
	}
	return "/"
}

func namespaces(m *Machine, pod *corev1.Pod, c *corev1.Container) []specs.LinuxNamespace {
	list := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	if !pod.Spec.HostPID {
		list = append(list, specs.LinuxNamespace{Type: specs.PIDNamespace})
	}
	if !pod.Spec.HostNetwork {
		list = append(list, specs.LinuxNamespace{Type: specs.NetworkNamespace}, specs.LinuxNamespace{Type: specs.UTSNamespace})
	}
	if !pod.Spec.HostIPC {
		list = append(list, specs.LinuxNamespace{Type: specs.IPCNamespace})
	}
	if !HostUsers(pod) {
		list = append(list, specs.LinuxNamespace{Type: specs.UserNamespace})
	}
	if m.CgroupV2 && !Privileged(c) {
		list = append(list, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	return list
}
