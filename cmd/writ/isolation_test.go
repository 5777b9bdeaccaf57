package main

import (
	"strings"
	"testing"

	noderuntime "writ/runtime"
)

func TestIsolationConfig(t *testing.T) {
	for _, tt := range []struct {
		name, users, sysctls, fail string
		want                       noderuntime.UserIDs
	}{
		{name: "by default"},
		{name: "users", users: "131072:655360", want: noderuntime.UserIDs{First: 131072, Length: 655360}},
		{name: "the node's own", users: "0:65536", fail: "must be a multiple of 65536, above 0"},
		{name: "nothing", users: "0:0", fail: "the node's own users are not for pods"},
		{name: "half a range", users: "65536:1000", fail: "must be a multiple of 65536"},
		{name: "one number", users: "65536", fail: "two numbers with a colon"},
		{name: "beyond 32 bits", users: "65536:4294967296", fail: "two numbers with a colon"},
		{name: "sysctls", sysctls: "kernel.msg*,net.core.somaxconn"},
		{name: "one of the whole node", sysctls: "vm.swappiness", fail: `--allowed-unsafe-sysctls: the sysctls "vm.swappiness" are not known to be namespaced`},
	} {
		c := isolationConfig{users: tt.users}
		if tt.sysctls != "" {
			c.sysctls = strings.Split(tt.sysctls, ",")
		}
		err := c.validate()
		if (err == nil) != (tt.fail == "") || err != nil && !strings.Contains(err.Error(), tt.fail) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.fail)
			continue
		}
		var cfg noderuntime.Config
		c.apply(&cfg)
		if tt.fail == "" && (cfg.Users != tt.want || strings.Join(cfg.UnsafeSysctls, ",") != tt.sysctls) {
			t.Errorf("%s: applied %+v and %v", tt.name, cfg.Users, cfg.UnsafeSysctls)
		}
	}
}
