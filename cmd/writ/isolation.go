package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	noderuntime "writ/runtime"
)

// isolationConfig is what pods may do to this node.
type isolationConfig struct {
	sysctls []string
	users   string
}

func (c *isolationConfig) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.sysctls, "allowed-unsafe-sysctls", nil, "sysctls that pods may set beside the safe ones: names, or patterns that end in *; separated by commas")
	f.StringVar(&c.users, "pod-users", "", "`FIRST:COUNT` of the node's user IDs for pods with hostUsers: false, 65536 each (default: as many as pods, from 65536 on)")
}

// userIDs reads --pod-users.
func (c *isolationConfig) userIDs() (noderuntime.UserIDs, error) {
	if c.users == "" {
		return noderuntime.UserIDs{}, nil
	}
	first, count, _ := strings.Cut(c.users, ":")
	from, err := strconv.ParseUint(first, 10, 32)
	length, err2 := strconv.ParseUint(count, 10, 32)
	if err := errors.Join(err, err2); err != nil {
		return noderuntime.UserIDs{}, fmt.Errorf("--pod-users %q: two numbers with a colon between them: %w", c.users, err)
	}
	ids := noderuntime.UserIDs{First: uint32(from), Length: uint32(length)}
	if ids == (noderuntime.UserIDs{}) {
		return ids, fmt.Errorf("--pod-users %q: the node's own users are not for pods", c.users)
	}
	return ids, nil
}

func (c *isolationConfig) validate() error {
	ids, err := c.userIDs()
	if err != nil {
		return err
	}
	if err := noderuntime.ValidSysctls(c.sysctls); err != nil {
		return fmt.Errorf("--allowed-unsafe-sysctls: %w", err)
	}
	return ids.Validate()
}

func (c *isolationConfig) apply(cfg *noderuntime.Config) {
	cfg.UnsafeSysctls = c.sysctls
	cfg.Users, _ = c.userIDs() // validated
}
