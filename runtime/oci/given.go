package oci

import (
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Given is what a container sees of devices that plugins gave it.
type Given struct {
	Env         map[string]string
	Annotations map[string]string
	Mounts      []Bind
	Devices     []GivenDevice
}

// GivenDevice is a device of the node under the name it has in the container.
type GivenDevice struct {
	Device
	Access string // of "rwm"
}

// Give adds what was given. What the container's author sets, own, stays; what its image sets does not.
func Give(spec *specs.Spec, own map[string]string, g *Given) {
	for _, name := range slices.Sorted(maps.Keys(g.Env)) {
		if _, set := own[name]; set {
			continue
		}
		spec.Process.Env = slices.DeleteFunc(spec.Process.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
		spec.Process.Env = append(spec.Process.Env, name+"="+g.Env[name])
	}
	for name, value := range g.Annotations {
		if spec.Annotations == nil {
			spec.Annotations = map[string]string{}
		}
		spec.Annotations[name] = value
	}
	for _, b := range g.Mounts {
		b.Recursive = true
		m := b.mount(false)
		if slices.ContainsFunc(spec.Mounts, func(o specs.Mount) bool { return o.Destination == m.Destination }) {
			continue // a volume of the Pod
		}
		spec.Mounts = append(spec.Mounts, m)
	}
	for _, d := range g.Devices {
		spec.Linux.Devices = slices.DeleteFunc(spec.Linux.Devices, func(o specs.LinuxDevice) bool { return o.Path == d.Path })
		spec.Linux.Devices = append(spec.Linux.Devices, d.node())
		major, minor := d.Major, d.Minor
		spec.Linux.Resources.Devices = append(spec.Linux.Resources.Devices,
			specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &major, Minor: &minor, Access: d.Access})
	}
}
