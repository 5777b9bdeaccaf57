package oci

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

// defaultCapabilities are those that containerd gives.
var defaultCapabilities = [...]string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

var maskedPaths = [...]string{
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
	"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
}

var readonlyPaths = [...]string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

// Privileged says whether a container is.
func Privileged(c *corev1.Container) bool {
	return c.SecurityContext != nil && optional(c.SecurityContext.Privileged)
}

// capabilities are the defaults with the container's own wishes, never more
// than the machine has.
func capabilities(m *Machine, c *corev1.Container) *specs.LinuxCapabilities {
	var set []string
	switch {
	case Privileged(c):
		set = slices.Clone(m.Capabilities)
	default:
		set = chosen(m, c)
	}
	set = slices.DeleteFunc(set, func(name string) bool { return len(m.Capabilities) > 0 && !slices.Contains(m.Capabilities, name) })
	slices.Sort(set)
	set = slices.Compact(set)
	return &specs.LinuxCapabilities{Bounding: set, Effective: set, Permitted: set}
}

func chosen(m *Machine, c *corev1.Container) []string {
	set := slices.Clone(defaultCapabilities[:])
	if c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
		return set
	}
	wish := c.SecurityContext.Capabilities
	if has(wish.Add, "ALL") {
		set = slices.Clone(m.Capabilities)
	}
	if has(wish.Drop, "ALL") {
		set = nil
	}
	for _, a := range wish.Add {
		if !strings.EqualFold(string(a), "ALL") {
			set = append(set, capability(a))
		}
	}
	for _, d := range wish.Drop {
		set = slices.DeleteFunc(set, func(name string) bool { return name == capability(d) })
	}
	return set
}

func has(list []corev1.Capability, name string) bool {
	return slices.ContainsFunc(list, func(c corev1.Capability) bool { return strings.EqualFold(string(c), name) })
}

func capability(c corev1.Capability) string {
	return "CAP_" + strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_")
}

func noNewPrivileges(c *corev1.Container) bool {
	s := c.SecurityContext
	return s != nil && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation
}

func readonlyRoot(c *corev1.Container) bool {
	return c.SecurityContext != nil && optional(c.SecurityContext.ReadOnlyRootFilesystem)
}

func unmasked(c *corev1.Container) bool {
	s := c.SecurityContext
	return Privileged(c) || s != nil && s.ProcMount != nil && *s.ProcMount == corev1.UnmaskedProcMount
}

// setSeccomp follows the capabilities of the specification: the default profile
// allows more where they do. Where nobody asks, it is RuntimeDefault.
func setSeccomp(m *Machine, pod *corev1.Pod, c *corev1.Container, spec *specs.Spec) error {
	if Privileged(c) {
		return nil
	}
	profile := corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	if s := pod.Spec.SecurityContext; s != nil && s.SeccompProfile != nil {
		profile = *s.SeccompProfile
	}
	if s := c.SecurityContext; s != nil && s.SeccompProfile != nil {
		profile = *s.SeccompProfile
	}
	switch profile.Type {
	case corev1.SeccompProfileTypeUnconfined:
	case corev1.SeccompProfileTypeLocalhost:
		return localhostProfile(m, profile.LocalhostProfile, spec)
	default:
		spec.Linux.Seccomp = seccomp.DefaultProfile(spec)
		// Each architecture costs a third of the time that making the filter takes,
		// and without this one its calls are refused: hardly a kernel has them.
		spec.Linux.Seccomp.Architectures = slices.DeleteFunc(spec.Linux.Seccomp.Architectures, func(a specs.Arch) bool { return a == specs.ArchX32 })
	}
	return nil
}

func localhostProfile(m *Machine, name *string, spec *specs.Spec) error {
	if name == nil || m.SeccompProfile == nil {
		return configErrorf("localhostProfile must be set if seccompProfile type is Localhost.")
	}
	data, err := m.SeccompProfile(*name)
	if err != nil {
		return fmt.Errorf("failed to generate seccomp spec opts: cannot load seccomp profile %q: %w", *name, err)
	}
	spec.Linux.Seccomp = &specs.LinuxSeccomp{}
	if err := json.Unmarshal(data, spec.Linux.Seccomp); err != nil {
		return fmt.Errorf("failed to generate seccomp spec opts: decoding seccomp profile failed %q: %w", *name, err)
	}
	return nil
}

// HostUsers says that the Pod's users are the node's own.
func HostUsers(pod *corev1.Pod) bool { return pod.Spec.HostUsers == nil || *pod.Spec.HostUsers }
