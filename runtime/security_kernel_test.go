//go:build kernel

package runtime

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/capability"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/images"
	"writ/manifest"
	"writ/runtime/oci"
)

// witness is the image whose program prints what it sees; the others are the same for other users.
const (
	witnessImage = images.Domain + "/witness:1.0"
	numberImage  = images.Domain + "/witness:number" // USER 1000
	namedImage   = images.Domain + "/witness:named"  // USER writer, who is in two groups
)

// witnesses are the images with that program.
func witnesses() []images.Spec {
	base := images.Spec{Name: witnessImage, Program: "witness", Tools: true, Scripts: map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nwriter:x:1000:1001:writer:/:/bin/sh\n",
		"etc/group":  "root:x:0:\nwriters:x:1001:\npaper:x:2000:writer\nink:x:2001:writer\n",
	}}
	number, named := base, base
	number.Name, number.User = numberImage, "1000"
	named.Name, named.User = namedImage, "writer"
	return []images.Spec{base, number, named}
}

// witnessed is what the witness prints.
type witnessed struct {
	UID, GID   int
	Status     map[string]string
	OOMScore   string
	Namespaces map[string]string
	UIDMap     []string
	Hostname   string
	Mounts     map[string]struct{ Type, Options, Root string }
	Devices    []string
	Limits     map[string][2]uint64
	Paths      map[string]string
	Writable   map[string]bool
	Sysctls    map[string]string
	Calls      map[string]string
	Processes  map[string]string
	Files      map[string]string
	Sockets    []string
	Links      []string
}

// testifies is a Pod of a witness that prints once.
func testifies(name string, change func(*corev1.Pod)) *corev1.Pod {
	return pod(name, witnessImage, func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{}
		p.Spec.SecurityContext = &corev1.PodSecurityContext{}
		if change != nil {
			change(p)
		}
	})
}

func ended(s *corev1.PodStatus) bool {
	return s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed
}

// testimony is what a Pod's witness printed, once it ended well.
func (b *bed) testimony(name string) witnessed {
	b.t.Helper()
	s := b.world.await(b.t, "default", name, "ended", 60*time.Second, ended)
	out := b.log1(name, LogOptions{Tail: -1})
	if s.Phase != corev1.PodSucceeded {
		b.t.Fatalf("%s failed: %s %s, it printed %s", name, s.Reason, s.Message, out)
	}
	return b.parse(name, out)
}

func (b *bed) parse(name, out string) witnessed {
	b.t.Helper()
	var r witnessed
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		b.t.Fatalf("%s printed %q: %v", name, out, err)
	}
	return r
}

// nodeNamespaces are this process's as it began: its threads may end up in others.
var nodeNamespaces = func() map[string]string {
	out := map[string]string{}
	for _, kind := range []string{"pid", "net", "ipc", "uts", "mnt", "user", "cgroup"} {
		out[kind], _ = os.Readlink("/proc/self/ns/" + kind)
	}
	return out
}()

// facts is the testimony as text by name, to be compared line by line.
func (r *witnessed) facts() map[string]string {
	out := map[string]string{"uid": fmt.Sprint(r.UID), "gid": fmt.Sprint(r.GID), "oom score": r.OOMScore, "hostname": r.Hostname,
		"devices": strings.Join(r.Devices, " "), "sockets": strings.Join(r.Sockets, " "), "users": strings.Join(r.UIDMap, " "), "process 1": r.Processes["1"]}
	maps.Copy(out, r.Status)
	for name, call := range r.Calls {
		out["call "+name] = cmp.Or(call, "allowed")
	}
	for path, what := range r.Paths {
		out["path "+path] = what
	}
	for path, may := range r.Writable {
		out["write "+path] = fmt.Sprint(may)
	}
	for name, value := range r.Sysctls {
		out["sysctl "+name] = strings.Join(strings.Fields(value), " ")
	}
	for name, l := range r.Limits {
		out["limit "+name] = fmt.Sprint(l[0], " ", l[1])
	}
	for path, m := range r.Mounts {
		out["mount "+path] = m.Type + " " + m.Options
	}
	for kind, id := range r.Namespaces {
		out["namespace "+kind] = map[bool]string{true: "the node's", false: "its own"}[nodeNamespaces[kind] == id]
	}
	return out
}

// capabilityMask is what /proc/self/status shows of capabilities, of those that this machine has.
func capabilityMask(t *testing.T, m *oci.Machine, names ...string) string {
	t.Helper()
	known, err := capability.ListSupported()
	if err != nil {
		t.Fatal(err)
	}
	var mask uint64
	for _, c := range known {
		name := "CAP_" + strings.ToUpper(c.String())
		if slices.Contains(names, name) && slices.Contains(m.Capabilities, name) {
			mask |= 1 << c
		}
	}
	return fmt.Sprintf("%016x", mask)
}

// witnessOf is a Pod that testifies, and what it is to say.
type witnessOf struct {
	name   string
	change func(*corev1.Pod)
	want   map[string]string // "~text" is contained in what it says
}

func TestSecurity_Fields(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.stop()
	b.cfg.UnsafeSysctls = []string{"kernel.msg*", "net.core.somaxconn"}
	b.up()
	cases := securityCases(t, b)
	b.layProfile("deny-chroot.json", denyChroot)
	var pods []manifest.Object
	for i := range cases {
		pods = append(pods, testifies(podNameOf(cases[i].name), cases[i].change))
	}
	b.world.adopt(t, b.cfg.Node, "c1", pods...)
	for _, tt := range cases {
		r := b.testimony(podNameOf(tt.name))
		if told := b.world.status("default", podNameOf(tt.name)).ContainerStatuses[0].User; told == nil || told.Linux == nil || told.Linux.UID != int64(r.UID) ||
			told.Linux.GID != int64(r.GID) || strings.Trim(fmt.Sprint(told.Linux.SupplementalGroups), "[]") != r.Status["Groups"] {
			t.Errorf("%s: the status says that it is %v, it is %d:%d in %s", tt.name, told, r.UID, r.GID, r.Status["Groups"])
		}
		got := r.facts()
		for _, key := range slices.Sorted(maps.Keys(tt.want)) {
			want := tt.want[key]
			part, contains := strings.CutPrefix(want, "~")
			if contains && !strings.Contains(got[key], part) || !contains && got[key] != want {
				t.Errorf("%s: %s is %q, want %q", tt.name, key, got[key], want)
			}
		}
	}
}

func podNameOf(text string) string {
	return strings.ToLower(strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(text))
}

// denyChroot is a profile of the node's own.
const denyChroot = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["chroot"],"action":"SCMP_ACT_ERRNO","errnoRet":38}]}`

func (b *bed) layProfile(name, text string) {
	b.t.Helper()
	dir := filepath.Join(b.cfg.DataDir, "seccomp", "profiles")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}
