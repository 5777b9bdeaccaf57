package supervisor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// host is what this process may not do here. Asking the kernel for more makes
// the start of a container fail without a useful word, so it is asked for less
// and the difference is told.
type host struct {
	oomScore     int  // own oom_score_adj; without resources nobody gets below it
	resources    bool // CAP_SYS_RESOURCE is there
	defaultScore int  // what a container gets that asks for none
}

func inspectHost() host {
	score := readOOMScore()
	h := host{oomScore: score, defaultScore: score, resources: hasCapability(unix.CAP_SYS_RESOURCE)}
	// The kernel shall rather kill a container than what watches it.
	const protected = -998
	if h.resources && os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(protected)), 0o600) == nil {
		h.oomScore = protected
	}
	return h
}

func readOOMScore() int {
	data, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0
	}
	score, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return score
}

func hasCapability(which int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[which/32].Effective&(1<<(which%32)) != 0
}

// limit takes back what the kernel would refuse and says what it took.
func (h host) limit(p *specs.Process) (warnings []string) {
	if p.OOMScoreAdj == nil {
		score := h.defaultScore
		p.OOMScoreAdj = &score
	}
	if *p.OOMScoreAdj < h.oomScore && !h.resources {
		warnings = append(warnings, fmt.Sprintf("oom_score_adj %d is not possible without CAP_SYS_RESOURCE, it is %d", *p.OOMScoreAdj, h.oomScore))
		score := h.oomScore
		p.OOMScoreAdj = &score
	}
	if h.resources {
		return warnings
	}
	for i := range p.Rlimits {
		wanted := &p.Rlimits[i]
		kind, ok := rlimits[wanted.Type]
		if !ok {
			continue // refused later, with a better message
		}
		var own unix.Rlimit
		if err := unix.Getrlimit(kind, &own); err != nil || wanted.Hard <= own.Max {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("%s %d is not possible without CAP_SYS_RESOURCE, it is %d", wanted.Type, wanted.Hard, own.Max))
		wanted.Hard = own.Max
		wanted.Soft = min(wanted.Soft, own.Max)
	}
	return warnings
}

// rlimits are the names of the OCI runtime specification (getrlimit(2)).
var rlimits = map[string]int{
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU,
	"RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK, "RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE,
	"RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO, "RLIMIT_RTTIME": unix.RLIMIT_RTTIME, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_STACK": unix.RLIMIT_STACK,
}
