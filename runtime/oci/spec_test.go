package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func facts(change func(*Facts)) *Facts {
	f := &Facts{
		Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u1", Labels: map[string]string{"app": "web"}},
			Spec: corev1.PodSpec{NodeName: "n1", ServiceAccountName: "default", Containers: []corev1.Container{{Name: "c"}}}},
		PodIPs: []string{"10.0.0.7"}, HostIPs: []string{"192.0.2.1"},
		ConfigMap: func(name string) *corev1.ConfigMap {
			if name != "cm" {
				return nil
			}
			return &corev1.ConfigMap{Data: map[string]string{"a": "1", "b": "$(FROM)"}}
		},
		Secret: func(name string) *corev1.Secret {
			if name != "s" {
				return nil
			}
			return &corev1.Secret{Data: map[string][]byte{"key": []byte("secret")}, StringData: map[string]string{"text": "plain"}}
		},
		Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi")},
		Machine:     Machine{Capabilities: append(slices.Clone(defaultCapabilities[:]), "CAP_SYS_ADMIN", "CAP_NET_ADMIN"), MemoryBytes: 8 << 30, OOMScoreFloor: -1000},
	}
	if change != nil {
		change(f)
	}
	return f
}

func lines(env map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, k+"="+env[k])
	}
	return strings.Join(out, " ")
}

func TestEnv(t *testing.T) {
	yes := true
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	local := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	for _, tt := range []struct {
		name string
		c    corev1.Container
		want string
		err  string
	}{
		{"expansion in order", corev1.Container{Env: []corev1.EnvVar{{Name: "A", Value: "x"}, {Name: "B", Value: "$(A)-$(NONE)-$$(A)"}}}, "A=x B=x-$(NONE)-$(A)", ""},
		{"envFrom with prefix", corev1.Container{EnvFrom: []corev1.EnvFromSource{{Prefix: "P_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("cm")}}}}, "P_a=1 P_b=$(FROM)", ""},
		{"env beats envFrom", corev1.Container{EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("cm")}}},
			Env: []corev1.EnvVar{{Name: "a", Value: "2"}}}, "a=2 b=$(FROM)", ""},
		{"secret", corev1.Container{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: local("s")}}}}, "key=secret text=plain", ""},
		{"optional and absent", corev1.Container{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: local("none"), Optional: &yes}}},
			Env: []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: local("cm"), Key: "none", Optional: &yes}}}}}, "", ""},
		{"no such config map", corev1.Container{EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("none")}}}}, "", `configmap "none" not found`},
		{"no such key", corev1.Container{Env: []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local("s"), Key: "none"}}}}}, "",
			"couldn't find key none in Secret shop/s"},
		{"downward", corev1.Container{Name: "c", Env: []corev1.EnvVar{{Name: "N", ValueFrom: field("metadata.name")}, {Name: "L", ValueFrom: field("metadata.labels['app']")}, {Name: "IP", ValueFrom: field("status.podIP")},
			{Name: "NODE", ValueFrom: field("spec.nodeName")}, {Name: "H", ValueFrom: field("status.hostIP")}}}, "H=192.0.2.1 IP=10.0.0.7 L=web N=web NODE=n1", ""},
		{"limits stand in", corev1.Container{Env: []corev1.EnvVar{{Name: "CPU", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
			{Name: "MEM", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Gi")}}}}}, "CPU=4 MEM=8", ""},
	} {
		got, err := Env(facts(nil), &tt.c)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err || !errors.Is(err, ErrConfig) {
				t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil || lines(got) != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.name, lines(got), err, tt.want)
		}
	}
}

func TestEnv_ServiceLinks(t *testing.T) {
	no := false
	service := func(ns, name, ip string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}}}
	}
	all := []*corev1.Service{service("shop", "my-db", "10.96.0.5"), service("shop", "none", corev1.ClusterIPNone), service("default", "kubernetes", "10.96.0.1"), service("default", "other", "10.96.0.9")}
	got, err := Env(facts(func(f *Facts) { f.Services = all }), &corev1.Container{})
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{
		"MY_DB_SERVICE_HOST": "10.96.0.5", "MY_DB_SERVICE_PORT": "80", "MY_DB_SERVICE_PORT_HTTP": "80", "MY_DB_PORT": "tcp://10.96.0.5:80",
		"MY_DB_PORT_80_TCP": "tcp://10.96.0.5:80", "MY_DB_PORT_80_TCP_PROTO": "tcp", "MY_DB_PORT_80_TCP_PORT": "80", "MY_DB_PORT_80_TCP_ADDR": "10.96.0.5",
		"KUBERNETES_SERVICE_HOST": "10.96.0.1",
	} {
		if got[k] != want {
			t.Errorf("%s is %q, want %q", k, got[k], want)
		}
	}
	if got["OTHER_SERVICE_HOST"] != "" || got["NONE_SERVICE_HOST"] != "" {
		t.Errorf("services of others are named: %v", got)
	}
	got, err = Env(facts(func(f *Facts) { f.Services = all; f.Pod.Spec.EnableServiceLinks = &no }), &corev1.Container{})
	if err != nil || got["MY_DB_SERVICE_HOST"] != "" || got["KUBERNETES_SERVICE_HOST"] == "" {
		t.Errorf("without links the environment is %v, %v, want only default/kubernetes", got, err)
	}
}

func TestArgs(t *testing.T) {
	env := map[string]string{"V": "value"}
	entry, cmd := []string{"/entry"}, []string{"serve", "$(V)"}
	for _, tt := range []struct {
		name    string
		c       corev1.Container
		want    string
		refused bool
	}{
		{"the image's", corev1.Container{}, "/entry serve $(V)", false},
		{"args replace cmd", corev1.Container{Args: []string{"$(V)"}}, "/entry value", false},
		{"command drops cmd", corev1.Container{Command: []string{"/mine", "$(V)"}}, "/mine value", false},
		{"both", corev1.Container{Command: []string{"/mine"}, Args: []string{"$$(V)", "$(NONE)"}}, "/mine $(V) $(NONE)", false},
	} {
		got, err := Args(&tt.c, entry, cmd, env)
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	if _, err := Args(&corev1.Container{}, nil, nil, nil); !errors.Is(err, ErrConfig) {
		t.Errorf("nothing to run gave %v, want ErrConfig", err)
	}
}

func root() fs.FS {
	return fstest.MapFS{
		"etc/passwd": {Data: []byte("root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n")},
		"etc/group":  {Data: []byte("root:x:0:\nextra:x:2000:app\n")},
	}
}

func TestUser(t *testing.T) {
	id := func(n int64) *int64 { return &n }
	yes := true
	for _, tt := range []struct {
		name  string
		image string
		pod   *corev1.PodSecurityContext
		c     *corev1.SecurityContext
		want  string
		err   string
	}{
		{"root by default", "", nil, nil, "0:0 [0]", ""},
		{"name of the image", "app", nil, nil, "1000:1001 [1001 2000]", ""},
		{"number of the image", "1000", nil, nil, "1000:1001 [1001 2000]", ""},
		{"group of the image", "app:extra", nil, nil, "1000:1001 [1001 2000]", ""},
		{"numbers of the image", "7:2000", nil, nil, "7:0 [0]", ""},
		{"a user alone is changed", "7:2000", nil, &corev1.SecurityContext{RunAsGroup: id(9)}, "7:9 [9]", ""},
		{"container beats pod", "app", &corev1.PodSecurityContext{RunAsUser: id(5)}, &corev1.SecurityContext{RunAsUser: id(6), RunAsGroup: id(7)}, "6:7 [7]", ""},
		{"groups", "", &corev1.PodSecurityContext{SupplementalGroups: []int64{9, 3}, FSGroup: id(3)}, nil, "0:0 [0 3 9]", ""},
		{"unknown name", "nobody", nil, nil, "", "unable to find user nobody"},
		{"root is forbidden", "", &corev1.PodSecurityContext{RunAsNonRoot: &yes}, nil, "", "image will run as root"},
		{"name cannot be verified", "app", &corev1.PodSecurityContext{RunAsNonRoot: &yes}, nil, "", "image has non-numeric user (app)"},
		{"zero is forbidden", "app", nil, &corev1.SecurityContext{RunAsNonRoot: &yes, RunAsUser: id(0)}, "", "container's runAsUser breaks non-root policy"},
		{"number is fine", "1000", &corev1.PodSecurityContext{RunAsNonRoot: &yes}, nil, "1000:1001 [1001 2000]", ""},
	} {
		f := facts(func(f *Facts) { f.Pod.Spec.SecurityContext = tt.pod })
		got, err := User(f.Pod, &corev1.Container{Name: "c", SecurityContext: tt.c}, tt.image, root())
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || !errors.Is(err, ErrConfig) {
				t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
			}
			continue
		}
		if text := describe(got); err != nil || text != tt.want {
			t.Errorf("%s: got %s, %v, want %s", tt.name, text, err, tt.want)
		}
	}
}

func describe(u specs.User) string {
	return fmt.Sprintf("%d:%d %v", u.UID, u.GID, u.AdditionalGids)
}

func TestCapabilities(t *testing.T) {
	yes := true
	m := facts(nil).Machine
	add := func(drop, add []corev1.Capability) *corev1.SecurityContext {
		return &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: add, Drop: drop}}
	}
	for _, tt := range []struct {
		name string
		s    *corev1.SecurityContext
		want int
		has  string
		not  string
	}{
		{"default", nil, 14, "CAP_CHOWN", "CAP_SYS_ADMIN"},
		{"drop all, add one", add([]corev1.Capability{"ALL"}, []corev1.Capability{"NET_BIND_SERVICE"}), 1, "CAP_NET_BIND_SERVICE", "CAP_CHOWN"},
		{"with prefix and in small letters", add([]corev1.Capability{"all"}, []corev1.Capability{"cap_net_admin"}), 1, "CAP_NET_ADMIN", "CAP_CHOWN"},
		{"drop one", add([]corev1.Capability{"CHOWN"}, nil), 13, "CAP_KILL", "CAP_CHOWN"},
		{"add all", add(nil, []corev1.Capability{"ALL"}), 16, "CAP_SYS_ADMIN", ""},
		{"beyond the machine", add(nil, []corev1.Capability{"SYS_RESOURCE"}), 14, "CAP_CHOWN", "CAP_SYS_RESOURCE"},
		{"privileged", &corev1.SecurityContext{Privileged: &yes}, 16, "CAP_SYS_ADMIN", ""},
	} {
		got := capabilities(&m, &corev1.Container{SecurityContext: tt.s}).Bounding
		if len(got) != tt.want || !slices.Contains(got, tt.has) || tt.not != "" && slices.Contains(got, tt.not) {
			t.Errorf("%s: got %v, want %d with %s and without %q", tt.name, got, tt.want, tt.has, tt.not)
		}
	}
}

func TestResources(t *testing.T) {
	list := func(cpu, mem string) corev1.ResourceList {
		out := corev1.ResourceList{}
		if cpu != "" {
			out[corev1.ResourceCPU] = resource.MustParse(cpu)
		}
		if mem != "" {
			out[corev1.ResourceMemory] = resource.MustParse(mem)
		}
		return out
	}
	for _, tt := range []struct {
		name             string
		requests, limits corev1.ResourceList
		shares           uint64
		quota, memory    int64
		score            int
	}{
		{"best effort", nil, nil, 2, 0, 0, 1000},
		{"requests", list("500m", "4Gi"), nil, 512, 0, 0, 500},
		{"limits stand in for requests", nil, list("2", "64Mi"), 2048, 200000, 64 << 20, 999},
		{"guaranteed", list("1", "1Gi"), list("1", "1Gi"), 1024, 100000, 1 << 30, -997},
		{"tiny", list("1m", ""), list("1m", ""), 2, 1000, 0, 999},
	} {
		f := facts(func(f *Facts) {
			f.Pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: tt.requests, Limits: tt.limits}
		})
		c := &f.Pod.Spec.Containers[0]
		r := ContainerResources(&f.Machine, f.Pod, c)
		var quota, memory int64
		if r.CPU.Quota != nil {
			quota = *r.CPU.Quota
		}
		if r.Memory != nil {
			memory = *r.Memory.Limit
		}
		if *r.CPU.Shares != tt.shares || quota != tt.quota || memory != tt.memory {
			t.Errorf("%s: shares %d quota %d memory %d, want %d %d %d", tt.name, *r.CPU.Shares, quota, memory, tt.shares, tt.quota, tt.memory)
		}
		if got := OOMScore(&f.Machine, f.Pod, c); got != tt.score {
			t.Errorf("%s: oom score %d, want %d", tt.name, got, tt.score)
		}
	}
	f := facts(func(f *Facts) {
		f.Machine.OOMScoreFloor = 0
		f.Pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list("1", "1Gi"), Limits: list("1", "1Gi")}
	})
	if got := OOMScore(&f.Machine, f.Pod, &f.Pod.Spec.Containers[0]); got != 0 {
		t.Errorf("oom score below the daemon's own floor: %d, want 0", got)
	}
}

func TestSpec(t *testing.T) {
	yes := true
	input := func(c *corev1.Container) *Input {
		return &Input{Container: c, RootPath: "/root", Root: root(), ImageEntrypoint: []string{"/app"}, ImageEnv: []string{"PATH=/bin", "A=image"}, ImageDir: "/srv",
			CgroupPath: "/writ-n/podu1/x", Hostname: "web", ShmPath: "/shm", Files: []Bind{{Source: "/etc1", Target: "/etc/hosts"}},
			Binds: []Bind{{Source: "/vol", Target: "data", ReadOnly: true, Recursive: true, Hidden: []string{"secret"}}}}
	}
	f := facts(nil)
	plain, err := Spec(f, input(&corev1.Container{Name: "c", Env: []corev1.EnvVar{{Name: "A", Value: "pod"}}}))
	if err != nil {
		t.Fatal(err)
	}
	if plain.Process.Cwd != "/srv" || !slices.Contains(plain.Process.Env, "A=pod") || !slices.Contains(plain.Process.Env, "HOSTNAME=web") || plain.Process.NoNewPrivileges {
		t.Errorf("process is %+v", plain.Process)
	}
	if plain.Linux.Seccomp == nil || len(plain.Linux.MaskedPaths) == 0 || plain.Linux.CgroupsPath != "/writ-n/podu1/x" {
		t.Error("a plain container has no seccomp profile, masked paths or cgroup")
	}
	last := plain.Mounts[len(plain.Mounts)-3:]
	if last[0].Destination != "/data" || !slices.Contains(last[0].Options, "ro") || last[1].Destination != "/data/secret" || last[1].Type != "tmpfs" || last[2].Destination != "/etc/hosts" {
		t.Errorf("mounts end with %+v", last)
	}
	free, err := Spec(f, input(&corev1.Container{Name: "c", SecurityContext: &corev1.SecurityContext{Privileged: &yes}}))
	if err != nil {
		t.Fatal(err)
	}
	if free.Linux.Seccomp != nil || len(free.Linux.MaskedPaths) > 0 || !free.Linux.Resources.Devices[0].Allow {
		t.Error("a privileged container is confined")
	}
	host := facts(func(f *Facts) { f.Pod.Spec.HostNetwork, f.Pod.Spec.HostPID = true, true })
	shared, err := Spec(host, input(&corev1.Container{Name: "c"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range shared.Linux.Namespaces {
		if n.Type == specs.NetworkNamespace || n.Type == specs.PIDNamespace || n.Type == specs.UTSNamespace {
			t.Errorf("a host pod has a namespace of type %s", n.Type)
		}
	}
	unconfined := facts(func(f *Facts) {
		f.Pod.Spec.SecurityContext = &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}}
	})
	if s, err := Spec(unconfined, input(&corev1.Container{Name: "c"})); err != nil || s.Linux.Seccomp != nil {
		t.Errorf("unconfined gave a profile, or %v", err)
	}
}

// TestMounts_Order: a file of the node shows in the volume that it lies in, as with containerd, and gives way to a
// volume in its own place, however that is written.
func TestMounts_Order(t *testing.T) {
	for _, tt := range []struct {
		name  string
		binds []string
		want  string
	}{
		{"elsewhere", []string{"/data"}, "/data /etc/hosts /tmp/message"},
		{"a file in a volume", []string{"/tmp", "/etc"}, "/tmp /etc /etc/hosts /tmp/message"},
		{"what lies deeper is later", []string{"/tmp/a", "/tmp"}, "/tmp /tmp/a /etc/hosts /tmp/message"},
		{"in place of a file", []string{"/etc/hosts"}, "/etc/hosts /tmp/message"},
		{"a relative path", []string{"a/b", "etc/hosts", "/a"}, "/a /a/b /etc/hosts /tmp/message"},
	} {
		in := &Input{Container: &corev1.Container{}, Files: []Bind{{Source: "node", Target: "/etc/hosts"}, {Source: "node", Target: "/tmp/message"}}}
		for _, b := range tt.binds {
			in.Binds = append(in.Binds, Bind{Source: "volume", Target: b})
		}
		var got []string
		for _, m := range mounts(facts(nil), in) {
			if m.Source == "volume" || m.Source == "node" {
				got = append(got, m.Destination)
			}
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, text, tt.want)
		}
	}
}
