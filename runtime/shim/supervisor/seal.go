package supervisor

import (
	"fmt"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"

	"writ/runtime/shim"
	"writ/runtime/shim/confine"
)

// seal gives a container its seccomp filter. One that was compiled before on
// this node is handed to it; any other is compiled by libcontainer in the
// container itself, and kept for the next.
type seal struct {
	c    *container
	key  string // "" if the profile is not to be kept
	hand *confine.Hand
}

// prepareSeal takes the profile out of what libcontainer gets if the container
// is handed its filter. Exec puts it back, see confineExec.
func (c *container) prepareSeal(r shim.StartRequest, config *configs.Config, process *libcontainer.Process) (*seal, error) {
	s := &seal{c: c, key: c.pod.filters.Key(r.Spec.Linux.Seccomp)}
	if s.key == "" {
		return s, nil
	}
	program, err := c.pod.filters.Load(s.key)
	if err != nil {
		c.pod.log.Warn("compiled seccomp profile cannot be used", "container", c.id, "err", err)
	}
	if program == nil || err != nil {
		return s, nil
	}
	if s.hand, err = confine.NewHand(program); err != nil {
		return nil, err
	}
	process.ExtraFiles = append(process.ExtraFiles, s.hand.Theirs())
	config.Seccomp = nil
	return s, nil
}

// apply is called when the process waits to be told to begin. It returns when
// the process has its filter; on an error it must not begin.
func (s *seal) apply(pid int) error {
	if s.hand != nil {
		return s.hand.Load()
	}
	if s.key == "" {
		return nil
	}
	program, err := confine.Harvest(pid)
	if err == nil {
		err = s.c.pod.filters.Save(s.key, program)
	}
	if err != nil { // the container has its filter; the next one compiles it again
		s.c.pod.log.Warn("compiled seccomp profile cannot be kept", "container", s.c.id, "err", err)
	}
	return nil
}

func (s *seal) close() {
	if s.hand != nil {
		_ = s.hand.Close()
	}
}

// confineExec makes sure that libcontainer knows the profile of a container
// that was handed its filter: it compiles it for each exec.
func (c *container) confineExec(r shim.StartRequest) error {
	c.profile.Lock()
	defer c.profile.Unlock()
	config := c.handle.Config()
	if r.Spec.Linux.Seccomp == nil || config.Seccomp != nil {
		return nil
	}
	profile, err := specconv.SetupSeccomp(r.Spec.Linux.Seccomp)
	if err != nil {
		return fmt.Errorf("convert seccomp profile: %w", err)
	}
	if profile == nil {
		return nil
	}
	config.Seccomp = profile
	if err := c.handle.Set(config); err != nil {
		return fmt.Errorf("set seccomp profile: %w", err)
	}
	return nil
}
