package oci

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Device is a device node of the machine.
type Device struct {
	Path         string
	Type         string // "c" or "b"
	Major, Minor int64
	Mode         uint32
}

// setDevices gives a privileged container every device of the machine, others
// the few that the runtime makes by itself (null, zero, full, random, urandom, tty).
func setDevices(m *Machine, privileged bool, spec *specs.Spec) {
	if !privileged {
		spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
		return
	}
	spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	for _, d := range m.Devices {
		spec.Linux.Devices = append(spec.Linux.Devices, specs.LinuxDevice{Path: d.Path, Type: d.Type, Major: d.Major, Minor: d.Minor})
	}
}
