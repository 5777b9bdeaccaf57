package oci

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	tenants "github.com/containerd/containerd/v2/pkg/namespaces"
	upstream "github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/securitycontext"
)

// containerdSpec is what containerd makes when nobody asks for anything.
func containerdSpec(t *testing.T, opts ...upstream.SpecOpts) *specs.Spec {
	t.Helper()
	ctx := tenants.WithNamespace(context.Background(), "k8s.io")
	s, err := upstream.GenerateSpec(ctx, nil, &containers.Container{ID: "c"}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func defaultSpec(t *testing.T, change func(*corev1.Pod)) *specs.Spec {
	t.Helper()
	f := facts(func(f *Facts) {
		f.Machine.Capabilities = nil // as if it had all
		f.Pod.Spec.Containers = []corev1.Container{{Name: "c"}}
		if change != nil {
			change(f.Pod)
		}
	})
	s, err := Spec(f, &Input{Container: &f.Pod.Spec.Containers[0], RootPath: "/root", Root: root(), ImageEntrypoint: []string{"/app"}, ShmPath: "/shm", SysPath: "/sysfs"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// TestDefaults_AreContainerds: capabilities, device rules, namespaces and the seccomp profile are containerd's own; masked
// and read-only paths are those that the kubelet asks it for.
func TestDefaults_AreContainerds(t *testing.T) {
	got, want := defaultSpec(t, nil), containerdSpec(t)
	for _, set := range []struct {
		name      string
		got, want []string
	}{
		{"bounding", got.Process.Capabilities.Bounding, want.Process.Capabilities.Bounding},
		{"effective", got.Process.Capabilities.Effective, want.Process.Capabilities.Effective},
		{"permitted", got.Process.Capabilities.Permitted, want.Process.Capabilities.Permitted},
		{"inheritable", got.Process.Capabilities.Inheritable, want.Process.Capabilities.Inheritable},
		{"ambient", got.Process.Capabilities.Ambient, want.Process.Capabilities.Ambient},
		{"masked paths", append(got.Linux.MaskedPaths, hot(t)...), securitycontext.ConvertToRuntimeMaskedPaths(nil)},
		{"read-only paths", got.Linux.ReadonlyPaths, securitycontext.ConvertToRuntimeReadonlyPaths(nil)},
		{"read-only paths of containerd", got.Linux.ReadonlyPaths, want.Linux.ReadonlyPaths},
	} {
		if !slices.Equal(sorted(set.got), sorted(set.want)) {
			t.Errorf("%s: got %v, want %v", set.name, sorted(set.got), sorted(set.want))
		}
	}
	if !slices.EqualFunc(got.Linux.Resources.Devices, want.Linux.Resources.Devices, func(a, b specs.LinuxDeviceCgroup) bool { return text(a) == text(b) }) {
		t.Errorf("device rules: got %s, want %s", text(got.Linux.Resources.Devices), text(want.Linux.Resources.Devices))
	}
	var kinds []string
	for _, n := range want.Linux.Namespaces {
		kinds = append(kinds, string(n.Type))
	}
	for _, n := range got.Linux.Namespaces {
		if !slices.Contains(kinds, string(n.Type)) {
			t.Errorf("namespace %s is not containerd's", n.Type)
		}
	}
	if len(got.Linux.Namespaces) != len(kinds) {
		t.Errorf("%d namespaces, want %v", len(got.Linux.Namespaces), kinds)
	}
	if len(got.Process.Rlimits) > 0 || got.Process.NoNewPrivileges { // containerd's CRI plugin removes both (WithoutDefaultSecuritySettings, WithNewPrivileges)
		t.Errorf("limits %v and no new privileges %v, want none", got.Process.Rlimits, got.Process.NoNewPrivileges)
	}
}

// hot are the kubelet's masked paths of this machine's processors, which the node adds.
func hot(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(securitycontext.ConvertToRuntimeMaskedPaths(nil)), func(p string) bool { return !strings.HasSuffix(p, "thermal_throttle") })
}

// TestDefaults_Mounts: the mounts are containerd's, but that /run is not covered, and /dev/shm is the Pod's.
func TestDefaults_Mounts(t *testing.T) {
	want := map[string]string{}
	for _, m := range containerdSpec(t, upstream.WithoutRunMount).Mounts {
		want[m.Destination] = m.Type + " " + strings.Join(sorted(m.Options), ",")
	}
	// containerd's CRI plugin: withMounts, linuxContainerMounts
	want["/sys/fs/cgroup"] = "cgroup nodev,noexec,nosuid,relatime,ro"
	want["/dev/shm"] = "bind nodev,noexec,nosuid,rbind,rprivate,rw"
	for _, m := range defaultSpec(t, nil).Mounts {
		if got := m.Type + " " + strings.Join(sorted(m.Options), ","); got != want[m.Destination] {
			t.Errorf("%s: got %s, want %s", m.Destination, got, want[m.Destination])
		}
		delete(want, m.Destination)
	}
	if len(want) > 0 {
		t.Errorf("not mounted: %v", want)
	}
}

// TestDefaults_Seccomp: the profile is containerd's for the same capabilities, less an architecture that hardly a kernel has.
func TestDefaults_Seccomp(t *testing.T) {
	yes := true
	for name, change := range map[string]func(*corev1.Pod){
		"plain": nil,
		"with CAP_SYS_ADMIN": func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}}
		},
		"without any": func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
		},
		"asked for": func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
		},
	} {
		got := defaultSpec(t, change)
		want := seccomp.DefaultProfile(got)
		want.Architectures = slices.DeleteFunc(want.Architectures, func(a specs.Arch) bool { return a == specs.ArchX32 })
		if text(got.Linux.Seccomp) != text(want) {
			t.Errorf("%s: the profile is not containerd's", name)
		}
	}
	privileged := defaultSpec(t, func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes} })
	if privileged.Linux.Seccomp != nil {
		t.Error("a privileged container has a profile")
	}
}

// TestDefaults_DevicesOfPrivileged: they have the owner and mode that they have on the node, as with containerd, so that
// a privileged container's user who is not root opens no disk.
func TestDefaults_DevicesOfPrivileged(t *testing.T) {
	yes := true
	m := Machine{Devices: func() []Device {
		return []Device{{Path: "/dev/sda", Type: "b", Major: 8, Mode: 0o660, GID: 6}, {Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11, Mode: 0o644, UID: 3}}
	}}
	s := &specs.Spec{Linux: &specs.Linux{Resources: &specs.LinuxResources{}}}
	setDevices(&m, Privileged(&corev1.Container{SecurityContext: &corev1.SecurityContext{Privileged: &yes}}), s)
	want := `[{"path":"/dev/sda","type":"b","major":8,"minor":0,"fileMode":432,"uid":0,"gid":6},{"path":"/dev/kmsg","type":"c","major":1,"minor":11,"fileMode":420,"uid":3,"gid":0}]`
	if got := text(s.Linux.Devices); got != want {
		t.Errorf("devices are %s, want %s", got, want)
	}
	s.Linux.Devices = nil
	m.Devices = func() []Device { return nil } // they came and went meanwhile
	if setDevices(&m, true, s); len(s.Linux.Devices) > 0 {
		t.Errorf("devices are %s, want those that there are now", text(s.Linux.Devices))
	}
}

func text(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}
