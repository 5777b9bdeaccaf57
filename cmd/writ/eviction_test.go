package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	noderuntime "writ/runtime"
)

func TestEviction_Flags(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string // thresholds, logs, or what is wrong
	}{
		"the kubelet's": {want: "memory.available nodefs.available nodefs.inodesFree imagefs.available imagefs.inodesFree, 5m0s, logs 10485760 5"},
		"replaced": {args: []string{"--eviction-hard=memory.available<1Gi, nodefs.available<1%", "--eviction-pressure-transition-period=30s", "--container-log-max-size=1Mi", "--container-log-max-files=2"},
			want: "memory.available nodefs.available, 30s, logs 1048576 2"},
		"none":               {args: []string{"--eviction-hard="}, want: ", 5m0s, logs 10485760 5"},
		"soft":               {args: []string{"--eviction-hard=", "--eviction-soft=pid.available<5%", "--eviction-soft-grace-period=pid.available=1m"}, want: "pid.available for 1m0s, 5m0s, logs 10485760 5"},
		"soft without grace": {args: []string{"--eviction-soft=pid.available<5%"}, want: "--eviction-*: grace period must be specified for the soft eviction threshold pid.available"},
		"another sign":       {args: []string{"--eviction-hard=memory.available=1Gi"}, want: `--eviction-hard "memory.available=1Gi": it has no "<"`},
		"logs":               {args: []string{"--container-log-max-size=0", "--container-log-max-files=1"}, want: "--container-log-max-size \"0\" is not a size such as 10Mi\n--container-log-max-files 1: at least 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var c evictionConfig
			f := pflag.NewFlagSet("up", pflag.ContinueOnError)
			c.flags(f)
			if err := f.Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			if err := c.validate(); err != nil {
				if err.Error() != tt.want {
					t.Errorf("it says\n%v\nwant\n%s", err, tt.want)
				}
				return
			}
			var cfg noderuntime.Config
			c.apply(&cfg)
			parsed, err := cfg.Eviction.Parse()
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, one := range parsed.Thresholds {
				text := string(one.Signal)
				if one.Grace > 0 {
					text += " for " + one.Grace.String()
				}
				names = append(names, text)
			}
			if got := fmt.Sprintf("%s, %v, logs %d %d", strings.Join(names, " "), parsed.Transition, cfg.LogMaxSize, cfg.LogMaxFiles); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestEviction_EndedPods(t *testing.T) {
	for args, want := range map[string]int{"": 12500, "--terminated-pod-gc-threshold=3": 3, "--terminated-pod-gc-threshold=0": -1, "--terminated-pod-gc-threshold=-7": -1} {
		var c evictionConfig
		f := pflag.NewFlagSet("up", pflag.ContinueOnError)
		c.flags(f)
		if err := f.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if got := c.ended(); got != want {
			t.Errorf("%s: %d pods that have ended are kept, want %d", args, got, want)
		}
	}
}
