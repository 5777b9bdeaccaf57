//go:build kernel

package runtime

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	corev1 "k8s.io/api/core/v1"
)

// containerdCapabilities are containerd's defaults (pkg/oci, defaultUnixCaps), written out: the table must not be
// what it checks.
var containerdCapabilities = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}

// plain is what a container is given that asks for nothing.
func plain(t *testing.T, b *bed) map[string]string {
	t.Helper()
	usual := capabilityMask(t, &b.r.machine, containerdCapabilities...)
	limit := func(kind int) string {
		var l unix.Rlimit
		if err := unix.Getrlimit(kind, &l); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(l.Cur, " ", l.Max)
	}
	want := map[string]string{
		"uid": "0", "gid": "0", "Groups": "0", "CapBnd": usual, "CapPrm": usual, "CapEff": usual, "CapInh": "0000000000000000", "CapAmb": "0000000000000000",
		"NoNewPrivs": "0", "Seccomp": "2", "oom score": "1000", "users": "0 0 4294967295", "process 1": "/witness",
		"namespace pid": "its own", "namespace net": "its own", "namespace ipc": "its own", "namespace uts": "its own", "namespace mnt": "its own",
		"namespace user": "the node's",
		"devices":        "full null random tty urandom zero",
		"sockets":        "",
		"limit core":     limit(unix.RLIMIT_CORE), "limit memlock": limit(unix.RLIMIT_MEMLOCK), "limit stack": limit(unix.RLIMIT_STACK),
		"mount /": "~overlay rw", "mount /dev/shm": "~size=65536k", "mount /proc": "~proc rw,nosuid,nodev,noexec", "mount /sys": "~sysfs ro,nosuid,nodev,noexec",
		"mount /proc/sys": "~proc ro", "mount /dev/pts": "~devpts rw,nosuid,noexec", "mount /dev/mqueue": "~mqueue rw,nosuid,nodev,noexec",
		"path /proc/meminfo": "open",
		"write /":            "true", "write /proc/sys/kernel/domainname": "false", "write /proc/sysrq-trigger": "false", "write /proc/bus": "false", "write /proc/irq": "false",
		"write /proc/fs": "false", "write /sys": "false", "write /dev/shm": "true", "write /etc/hosts": "true",
		"write /etc/hostname": "true", "write /etc/resolv.conf": "true", "write /dev/termination-log": "true",
		"sysctl net.ipv4.ip_unprivileged_port_start": "0", "sysctl net.ipv4.ping_group_range": "0 2147483647",
		"call unshare user": "EPERM", "call unshare uts": "EPERM", "call mount tmpfs": "EPERM", "call chroot": "allowed", "call keyctl": "EPERM", "call bpf": "EPERM",
		"call open_by_handle_at": "EPERM", "call swapon": "EPERM", "call ptrace": "ESRCH", "call mknod": "allowed", "call raw disk": "EPERM",
		"call raw socket": "allowed", "call ping socket": "allowed", "call port 80": "allowed", "call chown": "allowed", "call set time": "EPERM",
	}
	for _, path := range []string{"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"} {
		switch info, err := os.Stat(path); { // of the node
		case err != nil:
			want["path "+path] = "absent"
		case info.IsDir():
			want["path "+path] = "empty"
		default:
			want["path "+path] = "null"
		}
	}
	want["mount /sys/fs/cgroup"] = "~cgroup2 ro"
	if !b.r.machine.CgroupV2 {
		want["mount /sys/fs/cgroup"], want["mount /sys/fs/cgroup/memory"], want["mount /sys/fs/cgroup/devices"] = "~tmpfs", "~cgroup ro", "~cgroup ro"
	}
	return want
}

// with is what a plain container shows, with some of it changed.
func with(base map[string]string, changes ...string) map[string]string {
	out := maps.Clone(base)
	for _, c := range changes {
		key, value, _ := strings.Cut(c, "=")
		out[key] = value
	}
	return out
}

func securityCases(t *testing.T, b *bed) []witnessOf {
	t.Helper()
	yes, no := true, false
	id := func(n int64) *int64 { return &n }
	pod := func(f func(*corev1.PodSecurityContext)) func(*corev1.Pod) {
		return func(p *corev1.Pod) { f(p.Spec.SecurityContext) }
	}
	one := func(f func(*corev1.SecurityContext)) func(*corev1.Pod) {
		return func(p *corev1.Pod) { f(p.Spec.Containers[0].SecurityContext) }
	}
	image := func(name string, f func(*corev1.PodSecurityContext)) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.Containers[0].Image = name; f(p.Spec.SecurityContext) }
	}
	base, m := plain(t, b), &b.r.machine
	caps := func(add, drop []corev1.Capability) func(*corev1.Pod) {
		return one(func(s *corev1.SecurityContext) { s.Capabilities = &corev1.Capabilities{Add: add, Drop: drop} })
	}
	all := capabilityMask(t, m, m.Capabilities...)
	none := "0000000000000000"
	node, _ := os.Hostname()
	profile := func(kind corev1.SeccompProfileType, name string) *corev1.SeccompProfile {
		p := &corev1.SeccompProfile{Type: kind}
		if name != "" {
			p.LocalhostProfile = &name
		}
		return p
	}
	strict, merge := corev1.SupplementalGroupsPolicyStrict, corev1.SupplementalGroupsPolicyMerge
	unmasked := corev1.UnmaskedProcMount
	none1000 := []string{"uid=1000", "CapEff=" + none, "CapPrm=" + none, "call chown=EPERM", "call chroot=EPERM", "call mknod=EACCES", "call raw disk=EACCES", "call raw socket=EPERM",
		"write /=false", "write /etc/hosts=false", "write /etc/hostname=false", "write /etc/resolv.conf=false"}
	users := []string{"users=~ 65536", "namespace user=its own", "write /sys=false", "mount /sys=~sysfs ro", "sysctl net.ipv4.ping_group_range=~",
		"call mknod=EPERM", "call raw disk=EPERM", "call raw socket=EPERM", "call ping socket=EACCES"}
	list := []witnessOf{
		{"plain", nil, with(base, "hostname=plain")},
		{"runAsUser", pod(func(s *corev1.PodSecurityContext) { s.RunAsUser = id(1000) }), with(base, append(none1000, "gid=1001", "Groups=1001 2000 2001")...)},
		{"runAsUser of the container wins", func(p *corev1.Pod) {
			p.Spec.SecurityContext.RunAsUser, p.Spec.Containers[0].SecurityContext.RunAsUser = id(7), id(1000)
		}, with(base, append(none1000, "gid=1001", "Groups=1001 2000 2001")...)},
		{"runAsGroup", pod(func(s *corev1.PodSecurityContext) { s.RunAsUser, s.RunAsGroup = id(1000), id(3000) }), with(base, append(none1000, "gid=3000", "Groups=2000 2001 3000")...)},
		{"runAsNonRoot with a number", image(numberImage, func(s *corev1.PodSecurityContext) { s.RunAsNonRoot = &yes }), with(base, append(none1000, "gid=1001", "Groups=1001 2000 2001")...)},
		{"user of the image by name", image(namedImage, func(*corev1.PodSecurityContext) {}), with(base, append(none1000, "gid=1001", "Groups=1001 2000 2001")...)},
		{"supplementalGroups", pod(func(s *corev1.PodSecurityContext) { s.SupplementalGroups, s.FSGroup = []int64{4000, 5000}, id(6000) }), with(base, "Groups=0 4000 5000 6000")},
		{"supplementalGroupsPolicy Merge", image(namedImage, func(s *corev1.PodSecurityContext) {
			s.SupplementalGroups, s.SupplementalGroupsPolicy = []int64{4000}, &merge
		}),
			with(base, append(none1000, "gid=1001", "Groups=1001 2000 2001 4000")...)},
		{"supplementalGroupsPolicy Strict", image(namedImage, func(s *corev1.PodSecurityContext) {
			s.SupplementalGroups, s.SupplementalGroupsPolicy = []int64{4000}, &strict
		}),
			with(base, append(none1000, "gid=1001", "Groups=1001 4000")...)},
		{"capabilities drop ALL", caps(nil, []corev1.Capability{"ALL"}), with(base, "CapBnd="+none, "CapEff="+none, "CapPrm="+none, "call chroot=EPERM", "call chown=EPERM", "call mknod=EPERM",
			"call raw disk=EPERM", "call raw socket=EPERM")},
		{"capabilities drop ALL and add one", caps([]corev1.Capability{"SYS_CHROOT"}, []corev1.Capability{"ALL"}), with(base, "CapBnd="+capabilityMask(t, m, "CAP_SYS_CHROOT"),
			"CapEff="+capabilityMask(t, m, "CAP_SYS_CHROOT"), "CapPrm="+capabilityMask(t, m, "CAP_SYS_CHROOT"), "call chown=EPERM", "call mknod=EPERM", "call raw disk=EPERM", "call raw socket=EPERM")},
		{"capabilities add SYS_ADMIN", caps([]corev1.Capability{"SYS_ADMIN"}, nil), with(base, "CapBnd="+capabilityMask(t, m, append([]string{"CAP_SYS_ADMIN"}, containerdCapabilities...)...),
			"CapEff="+capabilityMask(t, m, append([]string{"CAP_SYS_ADMIN"}, containerdCapabilities...)...),
			"CapPrm="+capabilityMask(t, m, append([]string{"CAP_SYS_ADMIN"}, containerdCapabilities...)...), "call unshare uts=allowed", "call mount tmpfs=allowed", "call unshare user=EINVAL", "call bpf=EINVAL")},
		{"capabilities add ALL", caps([]corev1.Capability{"ALL"}, nil), with(base, "CapBnd="+all, "CapEff="+all, "CapPrm="+all, "call unshare uts=allowed", "call mount tmpfs=allowed",
			"call open_by_handle_at=~E", "call unshare user=EINVAL", "call bpf=EINVAL", "call swapon=EPERM", "call set time=EINVAL")},
		{"allowPrivilegeEscalation", one(func(s *corev1.SecurityContext) { s.AllowPrivilegeEscalation = &no }), with(base, "NoNewPrivs=1")},
		{"readOnlyRootFilesystem", one(func(s *corev1.SecurityContext) { s.ReadOnlyRootFilesystem = &yes }), with(base, "mount /=~overlay ro", "write /=false", "write /etc/hosts=false",
			"write /etc/hostname=false", "write /etc/resolv.conf=false")},
		{"privileged", one(func(s *corev1.SecurityContext) { s.Privileged = &yes }), privileged(base, all)},
		{"seccompProfile RuntimeDefault", pod(func(s *corev1.PodSecurityContext) {
			s.SeccompProfile = profile(corev1.SeccompProfileTypeRuntimeDefault, "")
		}), base},
		{"seccompProfile Unconfined", pod(func(s *corev1.PodSecurityContext) {
			s.SeccompProfile = profile(corev1.SeccompProfileTypeUnconfined, "")
		}),
			with(base, "Seccomp=0", "call keyctl=~", "call unshare user=EINVAL", "call bpf=EINVAL", "call open_by_handle_at=EFAULT", "call set time=EINVAL")},
		{"seccompProfile Localhost", one(func(s *corev1.SecurityContext) {
			s.SeccompProfile = profile(corev1.SeccompProfileTypeLocalhost, "profiles/deny-chroot.json")
		}), with(base, "call chroot=ENOSYS", "call unshare user=EINVAL", "call keyctl=~", "call bpf=EINVAL", "call open_by_handle_at=EFAULT", "call set time=EINVAL")},
		{"sysctls", pod(func(s *corev1.PodSecurityContext) {
			s.Sysctls = []corev1.Sysctl{{Name: "net.ipv4.tcp_keepalive_time", Value: "77"}, {Name: "kernel/shm_rmid_forced", Value: "1"}, {Name: "net.ipv4.ip_unprivileged_port_start", Value: "1024"},
				{Name: "kernel.msgmax", Value: "4000"}, {Name: "net.core.somaxconn", Value: "99"}}
		}), with(base, "sysctl net.ipv4.tcp_keepalive_time=77", "sysctl kernel.shm_rmid_forced=1", "sysctl net.ipv4.ip_unprivileged_port_start=1024", "sysctl kernel.msgmax=4000", "sysctl net.core.somaxconn=99")},
		{"hostNetwork", func(p *corev1.Pod) { p.Spec.HostNetwork = true }, with(base, "namespace net=the node's", "namespace uts=the node's", "hostname="+node,
			"sysctl net.ipv4.ip_unprivileged_port_start=~", "sysctl net.ipv4.ping_group_range=~", "sockets=~", "call port 80=~", "call ping socket=~")},
		{"hostPID", func(p *corev1.Pod) { p.Spec.HostPID = true }, with(base, "namespace pid=the node's", "process 1=~")},
		{"hostIPC", func(p *corev1.Pod) { p.Spec.HostIPC = true }, with(base, "namespace ipc=the node's", "mount /dev/shm=~tmpfs")},
		{"hostname", func(p *corev1.Pod) { p.Spec.Hostname, p.Spec.Subdomain = "box", "sub" }, with(base, "hostname=box")},
		{"hostnameOverride", func(p *corev1.Pod) { name := "shown.example"; p.Spec.HostnameOverride = &name }, with(base, "hostname=shown.example")},
		{"setHostnameAsFQDN", func(p *corev1.Pod) { p.Spec.Hostname, p.Spec.Subdomain, p.Spec.SetHostnameAsFQDN = "box", "sub", &yes },
			with(base, "hostname=box.sub.default.svc.cluster.local")},
		{"shareProcessNamespace", func(p *corev1.Pod) { p.Spec.ShareProcessNamespace = &yes }, with(base, "process 1=/pause")},
		{"hostUsers false", func(p *corev1.Pod) { p.Spec.HostUsers = &no }, with(base, users...)},
		{"procMount Unmasked", func(p *corev1.Pod) {
			p.Spec.HostUsers, p.Spec.Containers[0].SecurityContext.ProcMount = &no, &unmasked
		}, with(base, append(users, "path /proc/interrupts=open", "path /proc/kcore=~", "path /proc/keys=~", "path /proc/timer_list=~", "path /proc/scsi=~", "path /proc/acpi=~", "path /proc/asound=~",
			"path /sys/firmware=~", "path /sys/devices/virtual/powercap=~", "mount /proc/sys=")...)},
		{"hostUsers false and shareProcessNamespace", func(p *corev1.Pod) { p.Spec.HostUsers, p.Spec.ShareProcessNamespace = &no, &yes },
			with(base, append(users, "process 1=/pause")...)},
	}
	for i := range list {
		if _, set := list[i].want["hostname"]; !set {
			list[i].want = with(list[i].want, "hostname="+podNameOf(list[i].name))
		}
	}
	return list
}

// privileged is a container that nothing keeps from the machine.
func privileged(base map[string]string, all string) map[string]string {
	out := with(base, "CapBnd="+all, "CapEff="+all, "CapPrm="+all, "Seccomp=0", "mount /sys=~sysfs rw", "mount /proc/sys=", "write /proc/sys/kernel/domainname=true",
		"call unshare uts=allowed", "call mount tmpfs=allowed", "call unshare user=EINVAL", "call bpf=EINVAL", "call keyctl=~", "call raw disk=~",
		"call swapon=~", "call set time=EINVAL", "call open_by_handle_at=~E", "devices=~null", "write /proc/sysrq-trigger=true")
	for key, value := range out {
		if strings.HasPrefix(key, "mount /sys/fs/cgroup") {
			out[key] = strings.Replace(value, " ro", " rw", 1)
		}
	}
	maps.DeleteFunc(out, func(key, _ string) bool {
		return strings.HasPrefix(key, "path ") || strings.HasPrefix(key, "write /proc/")
	})
	return out
}
