package supervisor

import (
	// Without it no cgroup manager can set the device rules of a container.
	_ "github.com/opencontainers/cgroups/devices"
)
