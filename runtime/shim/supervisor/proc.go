package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// procStat is what this package needs of /proc/PID/stat (proc(5)).
type procStat struct {
	state      byte
	flags      uint64 // field 9, the kernel's PF_*
	start      uint64 // field 22, ticks since boot
	waitStatus int    // field 52, as wait(2) gives it; means something in state Z only
}

var errNoProcess = errors.New("no such process")

func readStat(pid int) (procStat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, errNoProcess
	}
	return parseStat(data)
}

func parseStat(data []byte) (procStat, error) {
	// The name is in parentheses and may hold anything, also parentheses.
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return procStat{}, fmt.Errorf("process status %.40q has no name", data)
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 50 || len(fields[0]) != 1 {
		return procStat{}, fmt.Errorf("process status %.40q has %d fields", data, len(fields))
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	if err != nil {
		return procStat{}, fmt.Errorf("flags: %w", err)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return procStat{}, fmt.Errorf("start time: %w", err)
	}
	status, err := strconv.Atoi(fields[49])
	if err != nil {
		return procStat{}, fmt.Errorf("exit status: %w", err)
	}
	return procStat{state: fields[0][0], flags: flags, start: start, waitStatus: status}, nil
}

// identity names a process beyond the reuse of its number.
type identity struct {
	pid    int
	start  uint64
	bootID string
}

// alive reports whether the very process is there, as a zombie too.
func (i identity) alive(bootID string) bool {
	if i.pid <= 0 || i.bootID != bootID {
		return false
	}
	stat, err := readStat(i.pid)
	return err == nil && stat.start == i.start
}

func identify(pid int, bootID string) (identity, error) {
	stat, err := readStat(pid)
	return identity{pid: pid, start: stat.start, bootID: bootID}, err
}

// readBootID changes with every boot.
func readBootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
