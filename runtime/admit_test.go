package runtime

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"writ/manifest"
)

func TestSysctlRules(t *testing.T) {
	set := func(host func(*corev1.PodSpec), names ...string) *corev1.Pod {
		return pod("p", "i", func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{}
			for _, n := range names {
				p.Spec.SecurityContext.Sysctls = append(p.Spec.SecurityContext.Sysctls, corev1.Sysctl{Name: n, Value: "1"})
			}
			if host != nil {
				host(&p.Spec)
			}
		})
	}
	network := func(s *corev1.PodSpec) { s.HostNetwork = true }
	ipc := func(s *corev1.PodSpec) { s.HostIPC = true }
	for _, tt := range []struct {
		name   string
		unsafe []string
		kernel string
		pod    *corev1.Pod
		want   string
	}{
		{"none", nil, "6.1.0", set(nil), ""},
		{"safe", nil, "6.1.0", set(nil, "kernel.shm_rmid_forced", "net.ipv4.tcp_rmem"), ""},
		{"safe with slashes", nil, "6.1.0", set(nil, "net/ipv4/tcp_syncookies"), ""},
		{"not safe on an old kernel", nil, "4.4.0", set(nil, "net.ipv4.tcp_rmem"), `forbidden sysctl: "net.ipv4.tcp_rmem" not allowlisted`},
		{"unsafe", nil, "6.1.0", set(nil, "kernel.msgmax"), `forbidden sysctl: "kernel.msgmax" not allowlisted`},
		{"the second is unsafe", nil, "6.1.0", set(nil, "net.ipv4.tcp_rmem", "net.core.somaxconn"), `forbidden sysctl: "net.core.somaxconn" not allowlisted`},
		{"allowed by name", []string{"kernel.msgmax"}, "6.1.0", set(nil, "kernel.msgmax"), ""},
		{"allowed by pattern", []string{"kernel.msg*"}, "6.1.0", set(nil, "kernel.msgmnb"), ""},
		{"beside the pattern", []string{"kernel.msg*"}, "6.1.0", set(nil, "kernel.sem"), `forbidden sysctl: "kernel.sem" not allowlisted`},
		{"of the node's network", nil, "6.1.0", set(network, "net.ipv4.tcp_rmem"), `forbidden sysctl: "net.ipv4.tcp_rmem" not allowed with host Net enabled`},
		{"of the node's IPC", nil, "6.1.0", set(ipc, "kernel.shm_rmid_forced"), `forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host IPC enabled`},
		{"of the node's IPC by a pattern", []string{"kernel.msg*"}, "6.1.0", set(ipc, "kernel.msgmax"), `forbidden sysctl: "kernel.msgmax" not allowed with host IPC enabled`},
	} {
		rules, err := newSysctlRules(tt.unsafe, version.MustParseGeneric(tt.kernel))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if no := rules.refuse(tt.pod); no != nil {
			got = no.message
			if no.reason != "SysctlForbidden" {
				t.Errorf("%s: reason %s", tt.name, no.reason)
			}
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, bad := range []string{"vm.swappiness", "kernel.*x", ""} {
		if _, err := newSysctlRules([]string{bad}, nil); err == nil {
			t.Errorf("%q may be allowed", bad)
		}
	}
}

func TestRefuseAppArmor(t *testing.T) {
	name := "mine"
	local := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &name}
	soft := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	for _, tt := range []struct {
		name    string
		change  func(*corev1.Pod)
		refused bool
	}{
		{"nothing", nil, false},
		{"the default", func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{AppArmorProfile: soft} }, false},
		{"a profile of the pod", func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{AppArmorProfile: local} }, true},
		{"a profile of a container", func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{AppArmorProfile: local}
		}, true},
		{"a profile of an init container", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "i", SecurityContext: &corev1.SecurityContext{AppArmorProfile: local}}}
		}, true},
		{"an annotation", func(p *corev1.Pod) {
			p.Annotations = map[string]string{"container.apparmor.security.beta.kubernetes.io/main": "localhost/mine"}
		}, true},
	} {
		p := pod("p", "i", tt.change)
		no := refuseAppArmor(p, false)
		if (no != nil) != tt.refused || no != nil && (no.reason != "AppArmor" || no.message != "Cannot enforce AppArmor: AppArmor is not enabled on the host") {
			t.Errorf("%s: %+v, want refused %v", tt.name, no, tt.refused)
		}
		if no := refuseAppArmor(p, true); no != nil {
			t.Errorf("%s: refused on a node with AppArmor: %+v", tt.name, no)
		}
	}
}

// A plugin that does not answer before the daemon ends has not refused the Pod.
func TestAdmit_WhileTheDaemonEnds(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.has(nil)
		g.world.adopt(t, "elsewhere", "c1", pod("one", "img", wantsChip))
		for _, ends := range []bool{true, false} {
			w := newWorker(g.r, g.world.World().Get(manifest.PodRef("default", "one")))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if w.ctx = ctx; ends {
				cancel()
			}
			w.begin()
			if w.admit() || (w.o.Failed == nil) != ends {
				t.Errorf("the daemon ends: %v; the pod is refused for %+v", ends, w.o.Failed)
			}
		}
	})
}
