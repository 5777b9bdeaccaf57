package oci

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestGive(t *testing.T) {
	spec := &specs.Spec{
		Process: &specs.Process{Env: []string{"PATH=/bin", "GPU=image", "MINE=pod"}},
		Mounts:  []specs.Mount{{Destination: "/taken", Source: "/vol"}},
		Linux: &specs.Linux{Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}},
			Devices: []specs.LinuxDevice{{Path: "/dev/gpu0", Type: "b"}}},
	}
	Give(spec, map[string]string{"MINE": "pod"}, &Given{
		Env:         map[string]string{"GPU": "0", "MINE": "plugin", "NEW": "1"},
		Annotations: map[string]string{"a": "b"},
		Mounts:      []Bind{{Source: "/lib/gpu", Target: "/lib/gpu", ReadOnly: true}, {Source: "/x", Target: "/taken"}, {Source: "/y", Target: "/y"}},
		Devices:     []GivenDevice{{Device: Device{Path: "/dev/gpu0", Type: "c", Major: 195, Minor: 1, Mode: 0o666}, Access: "rw"}},
	})
	if diff := cmp.Diff([]string{"PATH=/bin", "MINE=pod", "GPU=0", "NEW=1"}, spec.Process.Env); diff != "" {
		t.Errorf("environment -want +got:\n%s", diff)
	}
	mounts := []specs.Mount{{Destination: "/taken", Source: "/vol"},
		{Destination: "/lib/gpu", Type: "bind", Source: "/lib/gpu", Options: []string{"rbind", "rprivate", "ro"}},
		{Destination: "/y", Type: "bind", Source: "/y", Options: []string{"rbind", "rprivate", "rw"}}}
	if diff := cmp.Diff(mounts, spec.Mounts); diff != "" {
		t.Errorf("mounts -want +got:\n%s", diff)
	}
	if d := spec.Linux.Devices; len(d) != 1 || d[0].Type != "c" || d[0].Major != 195 || *d[0].FileMode != 0o666 {
		t.Errorf("devices are %+v", d)
	}
	rules := spec.Linux.Resources.Devices
	if len(rules) != 2 || rules[0].Allow || !rules[1].Allow || *rules[1].Major != 195 || *rules[1].Minor != 1 || rules[1].Access != "rw" {
		t.Errorf("rules are %+v, want the device allowed after all else is not", rules)
	}
	if spec.Annotations["a"] != "b" {
		t.Errorf("annotations are %v", spec.Annotations)
	}
}
