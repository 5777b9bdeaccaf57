package supervisor

import (
	"errors"
	"io/fs"
	"os"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"writ/runtime/shim"
)

func (p *pod) putRecord(r shim.Record) error {
	if len(r.Data) > shim.MaxRecord {
		return shim.Errorf(shim.CodeInvalid, "record of %d bytes, at most %d are allowed", len(r.Data), shim.MaxRecord)
	}
	return writeFile(shim.RecordPath(p.dir), r.Data, survivesKill)
}

func (p *pod) getRecord() (shim.Record, error) {
	data, err := os.ReadFile(shim.RecordPath(p.dir))
	if errors.Is(err, fs.ErrNotExist) {
		return shim.Record{}, nil
	}
	return shim.Record{Data: data}, err
}

// reopenLogs opens one container's log by its path again, or all.
func (p *pod) reopenLogs(id string) error {
	if id != "" {
		c, err := p.get(id)
		if err != nil {
			return err
		}
		return c.reopenLog()
	}
	p.mu.Lock()
	var all []*container
	for _, c := range p.containers {
		all = append(all, c)
	}
	p.mu.Unlock()
	var errs []error
	for _, c := range all {
		errs = append(errs, c.reopenLog())
	}
	return errors.Join(errs...)
}

func (c *container) reopenLog() error {
	done, err := c.use()
	if err != nil {
		return nil // it writes no more
	}
	defer done()
	return c.output.reopen()
}

// update changes limits of a running container or of the pod.
func (p *pod) update(r shim.UpdateRequest) error {
	if r.Resources == nil {
		return shim.Errorf(shim.CodeInvalid, "there is nothing to update")
	}
	if r.ID == "" {
		return p.updatePod(r.Resources)
	}
	c, done, err := p.use(r.ID)
	if err != nil {
		return err
	}
	defer done()
	if c.foreign != nil {
		return c.foreign.update(r.Resources)
	}
	converted, err := convertResources(r.Resources)
	if err != nil {
		return err
	}
	config := c.handle.Config()
	group, resources := *config.Cgroups, *config.Cgroups.Resources
	merge(&resources, converted, r.Resources)
	group.Resources = &resources
	config.Cgroups = &group
	return c.handle.Set(config)
}

func (p *pod) updatePod(resources *specs.LinuxResources) error {
	p.mu.Lock()
	box := p.sandbox
	p.mu.Unlock() // a lower limit takes until the kernel has got the memory back
	if box == nil || box.CgroupPath == "" {
		return shim.Errorf(shim.CodeConflict, "the pod has no cgroup")
	}
	m, converted, err := podCgroup(box.CgroupPath, resources)
	if err != nil {
		return err
	}
	return m.Set(converted)
}

func convertResources(r *specs.LinuxResources) (*cgroups.Resources, error) {
	config, err := specconv.CreateCgroupConfig(&specconv.CreateOpts{
		CgroupName: "update",
		Spec:       &specs.Spec{Linux: &specs.Linux{CgroupsPath: "/update", Resources: r}},
	}, nil)
	if err != nil {
		return nil, err
	}
	return config.Resources, nil
}

// merge takes over the groups of limits that the request names.
func merge(into, from *cgroups.Resources, named *specs.LinuxResources) {
	if m := named.Memory; m != nil {
		if m.Limit != nil {
			into.Memory = from.Memory
		}
		if m.Swap != nil {
			into.MemorySwap = from.MemorySwap
		}
		if m.Reservation != nil {
			into.MemoryReservation = from.MemoryReservation
		}
	}
	if c := named.CPU; c != nil {
		if c.Shares != nil {
			into.CpuShares, into.CpuWeight = from.CpuShares, cgroups.ConvertCPUSharesToCgroupV2Value(from.CpuShares)
		}
		if c.Quota != nil {
			into.CpuQuota = from.CpuQuota
		}
		if c.Period != nil {
			into.CpuPeriod = from.CpuPeriod
		}
		if c.Cpus != "" {
			into.CpusetCpus = from.CpusetCpus
		}
		if c.Mems != "" {
			into.CpusetMems = from.CpusetMems
		}
	}
	if named.Pids != nil {
		into.PidsLimit = from.PidsLimit
	}
	if named.Unified != nil {
		into.Unified = from.Unified
	}
}

// end shuts the shim down if nothing runs any more.
func (c *conversation) end() error {
	p := c.pod
	p.mu.Lock()
	var running error
	for id, ctr := range p.containers {
		if ctr.state.Status != shim.StatusExited {
			running = shim.Errorf(shim.CodeConflict, "container %q is %s: stop it before you shut down", id, ctr.state.Status)
		}
	}
	box := p.sandbox
	if running == nil {
		p.closing = true
	}
	p.mu.Unlock()
	if running != nil {
		return c.refuse(running)
	}
	p.work.Wait() // cgroups of containers are gone
	var err error
	if box != nil {
		err = p.removeSandbox(*box)
	}
	if err != nil { // the pod goes on as it is; the client may try again
		p.mu.Lock()
		p.closing = false
		p.mu.Unlock()
		return c.refuse(err)
	}
	_ = os.Remove(shim.SocketPath(p.dir))
	err = c.reply(nil, nil)
	c.shutdown()
	return err
}
