package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// podSysctls are what containers expect of their network: ports below 1024 and ping without
// privileges. They apply to the pod's namespace only.
var podSysctls = map[string]string{
	"net.ipv4.ip_unprivileged_port_start": "0",
	"net.ipv4.ping_group_range":           "0 2147483647",
}

const forwarding = "net.ipv4.ip_forward"

// sysctlRecord is what a setting of the node was before it was changed, and during which boot.
type sysctlRecord struct {
	Boot  string `json:"boot"`
	Value string `json:"value"`
}

func sysctlPath(key string) string {
	return "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
}

// readSysctl reads a setting of the calling thread's network namespace.
func readSysctl(key string) (string, error) {
	data, err := os.ReadFile(sysctlPath(key))
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", key, err)
	}
	return strings.TrimSpace(string(data)), nil
}

func writeSysctl(key, value string) error {
	if err := os.WriteFile(sysctlPath(key), []byte(value), 0); err != nil {
		return fmt.Errorf("set sysctl %s to %s: %w", key, value, err)
	}
	return nil
}

// forward lets the node forward packets. What it was before is on disk first.
func (n *Network) forward() error {
	return inNetns(n.ns, func() error {
		value, err := readSysctl(forwarding)
		if err != nil || value == "1" {
			return err
		}
		if record, ok := n.forwardingBefore(); !ok || record.Boot != bootID() {
			if err := writeJSON(n.forwardingFile(), sysctlRecord{bootID(), value}); err != nil {
				return err
			}
		}
		n.log.Info("forwarding enabled", "was", value)
		return writeSysctl(forwarding, "1")
	})
}

// unforward puts the setting back to what it was, if it was changed since the node started.
func (n *Network) unforward() error {
	record, ok := n.forwardingBefore()
	if ok && record.Boot == bootID() {
		err := inNetns(n.ns, func() error { return writeSysctl(forwarding, record.Value) })
		if err != nil {
			return err
		}
	}
	if err := os.Remove(n.forwardingFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove record of %s: %w", forwarding, err)
	}
	return nil
}

func (n *Network) forwardingFile() string { return filepath.Join(n.dir(), "ip_forward.json") }

func (n *Network) forwardingBefore() (sysctlRecord, bool) {
	var r sysctlRecord
	data, err := os.ReadFile(n.forwardingFile())
	return r, err == nil && json.Unmarshal(data, &r) == nil
}

// bootID differs after every start of the machine.
func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
