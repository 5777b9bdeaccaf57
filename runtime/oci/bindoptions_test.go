package oci

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestBind_Options(t *testing.T) {
	for want, b := range map[string]Bind{
		"rbind rprivate rw":        {Recursive: true},
		"rbind rprivate ro":        {Recursive: true, ReadOnly: true},
		"rbind rprivate rro":       {Recursive: true, ReadOnly: true, RecursiveReadOnly: true},
		"rbind rprivate ro noexec": {Recursive: true, ReadOnly: true, NoExec: true},
		"rbind rslave rw":          {Recursive: true, Propagation: corev1.MountPropagationHostToContainer},
		"rbind rshared rw":         {Recursive: true, Propagation: corev1.MountPropagationBidirectional},
	} {
		if got := strings.Join(b.mount(false).Options, " "); got != want {
			t.Errorf("%+v: options %q, want %q", b, got, want)
		}
	}
}

func TestRootPropagation(t *testing.T) {
	host, both := Bind{Propagation: corev1.MountPropagationHostToContainer}, Bind{Propagation: corev1.MountPropagationBidirectional}
	for want, binds := range map[string][]Bind{"": {{}, {Propagation: corev1.MountPropagationNone}}, "rslave": {{}, host}, "rshared": {both, host}} {
		if got := rootPropagation(binds); got != want {
			t.Errorf("%v: %q, want %q", binds, got, want)
		}
		slices.Reverse(binds)
		if got := rootPropagation(binds); got != want {
			t.Errorf("%v: %q, want %q", binds, got, want)
		}
	}
}
