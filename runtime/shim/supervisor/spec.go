package supervisor

import (
	"fmt"
	"path/filepath"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"writ/runtime/shim"
)

// maxID is how long a container ID may be, in bytes.
const maxID = 128

// validID says whether an ID is a directory name that cannot lead elsewhere.
func validID(id string) bool {
	for i, r := range []byte(id) {
		alnum := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !alnum && (i == 0 || r != '_' && r != '.' && r != '-') {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// check refuses a request that could not work or would leave the pod's
// directory.
func check(r shim.StartRequest) error {
	switch {
	case !validID(r.ID):
		return shim.Errorf(shim.CodeInvalid, "container ID %q: letters, digits, '-', '_' and '.' are allowed, at most 128", r.ID)
	case r.Spec == nil || r.Spec.Process == nil || r.Spec.Root == nil || r.Spec.Linux == nil:
		return shim.Errorf(shim.CodeInvalid, "container %q: the spec has no process, root or linux part", r.ID)
	case !filepath.IsAbs(r.Spec.Root.Path):
		return shim.Errorf(shim.CodeInvalid, "container %q: root path %q is not absolute", r.ID, r.Spec.Root.Path)
	case len(r.Spec.Process.Args) == 0:
		return shim.Errorf(shim.CodeInvalid, "container %q: there is no command", r.ID)
	case r.Log.Path != "" && !filepath.IsAbs(r.Log.Path):
		return shim.Errorf(shim.CodeInvalid, "container %q: log path %q is not absolute", r.ID, r.Log.Path)
	}
	if _, err := parseSignal(r.StopSignal); err != nil {
		return err
	}
	return nil
}

// complete fills in what the sandbox decides, and takes back what this machine
// does not allow; it returns a warning for each.
func (p *pod) complete(id string, spec *specs.Spec, box shim.SandboxState) ([]string, error) {
	shared := map[specs.LinuxNamespaceType]string{
		specs.NetworkNamespace: box.NetNSPath,
		specs.IPCNamespace:     box.IPCPath,
		specs.UTSNamespace:     box.UTSPath,
	}
	if box.SharePIDs {
		shared[specs.PIDNamespace] = box.PIDPath
	}
	if box.Users != nil {
		shared[specs.UserNamespace] = box.UserPath
	}
	var kept []specs.LinuxNamespace
	for _, ns := range spec.Linux.Namespaces {
		path, fromSandbox := shared[ns.Type]
		if ns.Type == specs.UserNamespace && !fromSandbox {
			return nil, shim.Errorf(shim.CodeInvalid, "container %q wants a user namespace and the pod has none", id)
		}
		if ns.Path == "" && fromSandbox {
			if path == "" {
				continue // the node's
			}
			ns.Path = path
		}
		kept = append(kept, ns)
	}
	spec.Linux.Namespaces = kept
	spec.Hostname = "" // set once, in the namespace
	if spec.Linux.CgroupsPath == "" {
		if box.CgroupPath == "" {
			return nil, shim.Errorf(shim.CodeInvalid, "container %q: neither it nor the pod has a cgroup path", id)
		}
		spec.Linux.CgroupsPath = filepath.Join(box.CgroupPath, id)
	}
	if !filepath.IsAbs(spec.Linux.CgroupsPath) {
		return nil, shim.Errorf(shim.CodeInvalid, "container %q: cgroup path %q is not absolute", id, spec.Linux.CgroupsPath)
	}
	return p.host.limit(spec.Process), nil
}

// newProcess turns the process of a spec into libcontainer's.
func newProcess(p *specs.Process) (*libcontainer.Process, error) {
	out := &libcontainer.Process{
		Args:            p.Args,
		Env:             p.Env,
		Cwd:             p.Cwd,
		UID:             int(p.User.UID),
		GID:             int(p.User.GID),
		Label:           p.SelinuxLabel,
		AppArmorProfile: p.ApparmorProfile,
		NoNewPrivileges: &p.NoNewPrivileges,
		Scheduler:       p.Scheduler,
		IOPriority:      p.IOPriority,
		LogLevel:        "2", // errors only
	}
	if out.Cwd == "" {
		out.Cwd = "/"
	}
	if p.ConsoleSize != nil {
		out.ConsoleWidth, out.ConsoleHeight = uint16(p.ConsoleSize.Width), uint16(p.ConsoleSize.Height)
	}
	if c := p.Capabilities; c != nil {
		out.Capabilities = &configs.Capabilities{
			Bounding: c.Bounding, Effective: c.Effective, Inheritable: c.Inheritable,
			Permitted: c.Permitted, Ambient: c.Ambient,
		}
	}
	for _, gid := range p.User.AdditionalGids {
		out.AdditionalGroups = append(out.AdditionalGroups, int(gid))
	}
	for _, limit := range p.Rlimits {
		kind, ok := rlimits[limit.Type]
		if !ok {
			return nil, shim.Errorf(shim.CodeInvalid, "unknown resource limit %q", limit.Type)
		}
		out.Rlimits = append(out.Rlimits, configs.Rlimit{Type: kind, Hard: limit.Hard, Soft: limit.Soft})
	}
	affinity, err := configs.ConvertCPUAffinity(p.ExecCPUAffinity)
	if err != nil {
		return nil, fmt.Errorf("cpu affinity: %w", err)
	}
	out.CPUAffinity = affinity
	return out, nil
}
