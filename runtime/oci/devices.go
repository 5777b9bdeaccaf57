package oci

import (
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Device is a device node of the machine.
type Device struct {
	Path         string
	Type         string // "c" or "b"
	Major, Minor int64
	Mode         uint32
	UID, GID     uint32
}

// node is the device as it is on the machine, with its owner and mode: who is not root in a container opens what they
// could open outside.
func (d *Device) node() specs.LinuxDevice {
	mode, uid, gid := os.FileMode(d.Mode), d.UID, d.GID
	return specs.LinuxDevice{Path: d.Path, Type: d.Type, Major: d.Major, Minor: d.Minor, FileMode: &mode, UID: &uid, GID: &gid}
}

// setDevices gives a privileged container every device of the machine, others
// the few that the runtime makes by itself (null, zero, full, random, urandom, tty).
func setDevices(m *Machine, privileged bool, spec *specs.Spec) {
	if !privileged {
		spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
		return
	}
	spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	if m.Devices == nil {
		return
	}
	for _, d := range m.Devices() {
		spec.Linux.Devices = append(spec.Linux.Devices, d.node())
	}
}
