package shim

import "path/filepath"

// What lies in a pod's run directory (0700). docs/shim.md describes each file.
// The daemon reads none of them but through these names: the record of a pod
// whose shim is dead, and where the namespaces are.

// SocketPath is where the shim listens.
func SocketPath(dir string) string { return filepath.Join(dir, socketName) }

// RecordPath is the file with the bytes of PutRecord, for a daemon that looks
// at a pod before it has a shim. It is replaced by rename, so it is whole.
func RecordPath(dir string) string { return filepath.Join(dir, "record") }

// LogPath is the shim's own log.
func LogPath(dir string) string { return filepath.Join(dir, "shim.log") }

// IPCPath is where the pod's IPC namespace is mounted.
func IPCPath(dir string) string { return filepath.Join(dir, "ns", "ipc") }

// UTSPath is where the pod's UTS namespace is mounted.
func UTSPath(dir string) string { return filepath.Join(dir, "ns", "uts") }

// UserPath and PIDPath are where the pod's user namespace, and the pid namespace
// that its containers share, are mounted.
func UserPath(dir string) string { return filepath.Join(dir, "ns", "user") }
func PIDPath(dir string) string  { return filepath.Join(dir, "ns", "pid") }

// SysPath is a sysfs of the pod's network, for containers with a user namespace:
// they may not mount one themselves.
func SysPath(dir string) string { return filepath.Join(dir, "ns", "sys") }

const socketName = "shim.sock"
