package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	noderuntime "writ/runtime"
)

func TestResourceFlags(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want noderuntime.ResourceConfig
		err  string
	}{
		"none": {want: noderuntime.ResourceConfig{MemorySwap: "NoSwap", CFSPeriod: 100e6}},
		"all": {args: []string{"--memory-swap=LimitedSwap", "--cpu-cfs-quota=false", "--cpu-cfs-quota-period=5ms", "--device-plugins=/var/lib/kubelet/device-plugins",
			"--runtime-handler=one=/bin/sh", "--runtime-handler=two=/bin/sh,root=/run/two"},
			want: noderuntime.ResourceConfig{MemorySwap: "LimitedSwap", CFSPeriod: 5e6, NoCPUQuota: true, DevicePlugins: "/var/lib/kubelet/device-plugins",
				Handlers: []noderuntime.RuntimeHandler{{Name: "one", Path: "/bin/sh"}, {Name: "two", Path: "/bin/sh", Root: "/run/two"}}}},
		"swap":    {args: []string{"--memory-swap=All"}, err: `memory swap "All": NoSwap or LimitedSwap`},
		"period":  {args: []string{"--cpu-cfs-quota-period=2s"}, err: "from 1ms to 1s"},
		"no path": {args: []string{"--runtime-handler=crun"}, err: `--runtime-handler "crun": NAME=PATH[,root=DIR]`},
		"a list of the configuration file": {args: []string{"--runtime-handler=one=/bin/sh,root=/run/one,two=/bin/sh"},
			want: noderuntime.ResourceConfig{MemorySwap: "NoSwap", CFSPeriod: 100e6,
				Handlers: []noderuntime.RuntimeHandler{{Name: "one", Path: "/bin/sh", Root: "/run/one"}, {Name: "two", Path: "/bin/sh"}}}},
		"option":    {args: []string{"--runtime-handler=crun=/bin/sh,x"}, err: `NAME=PATH[,root=DIR]`},
		"program":   {args: []string{"--runtime-handler=crun=/nowhere/crun"}, err: "/nowhere/crun is not a program"},
		"built in":  {args: []string{"--runtime-handler=runc=/bin/sh"}, err: `"runc" is there already`},
		"pods":      {args: []string{"--max-pods=0"}, err: "--max-pods 0: at least one"},
		"processes": {args: []string{"--pod-max-pids=0"}, err: "--pod-max-pids 0: a number of processes"},
	} {
		var c resourceConfig
		f := pflag.NewFlagSet("up", pflag.ContinueOnError)
		c.flags(f)
		if err := f.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		if err := c.fill(); err != nil {
			t.Fatal(err)
		}
		err := c.validate()
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got %v, want %s", name, err, tt.err)
			}
			continue
		}
		got, _ := c.resources()
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}
