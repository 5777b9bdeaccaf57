//go:build kernel

package runtime

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"writ/fixtures/images"
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
	out := b.log1(name, LogOptions{})
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

func TestSecurity_SharedProcesses(t *testing.T) {
	b := newBed(t)
	yes := true
	share := func(p *corev1.Pod) {
		p.Spec.ShareProcessNamespace = &yes
		p.Spec.Containers[0].Command = []string{"/witness", "stay"}
		second := p.Spec.Containers[0]
		second.Name, second.Command = "second", []string{"sh", "-c", "trap 'exit 9' HUP; while true; do sleep 0.1; done"}
		p.Spec.Containers = append(p.Spec.Containers, second)
	}
	b.world.adopt(t, b.cfg.Node, "c1", pod("shared", witnessImage, share))
	b.isReady("shared")
	t.Log(b.output("shared", "ps"))
}
