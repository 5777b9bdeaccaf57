package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// podPaths is where one Pod lies on this node.
type podPaths struct {
	run  string // the shim's: socket, record, namespaces
	data string // volumes, writable layers, files the node makes
	logs string
}

func (c *Config) pod(ns, name string, uid types.UID) podPaths {
	return podPaths{
		run:  filepath.Join(c.RunDir, "pods", string(uid)),
		data: filepath.Join(c.DataDir, "pods", string(uid)),
		logs: filepath.Join(c.LogDir, ns+"_"+name+"_"+string(uid)),
	}
}

func (p podPaths) volumes() string        { return filepath.Join(p.data, "volumes") }
func (p podPaths) shm() string            { return filepath.Join(p.data, "shm") }
func (p podPaths) etc(name string) string { return filepath.Join(p.data, "etc", name) }
func (p podPaths) containers() string     { return filepath.Join(p.data, "containers") }
func (p podPaths) container(id string) string {
	return filepath.Join(p.containers(), id)
}
func (p podPaths) rootfs(id string) string  { return filepath.Join(p.container(id), "rootfs") }
func (p podPaths) stage(id string) string   { return filepath.Join(p.container(id), "stage") }
func (p podPaths) message(id string) string { return filepath.Join(p.container(id), "termination-log") }
func (p podPaths) log(container string, attempt int) string {
	return filepath.Join(p.logs, container, strconv.Itoa(attempt)+".log")
}

// link is the name by which collectors find a log.
func (c *Config) link(pod *corev1.Pod, container, id string) string {
	return filepath.Join(c.LogLinks, pod.Name+"_"+pod.Namespace+"_"+container+"-"+id+".log")
}

// cgroup is the Pod's, absolute below each hierarchy's root.
func (c *Config) cgroup(uid types.UID) string {
	return c.cgroupRoot() + "/pod" + string(uid)
}

func (c *Config) cgroupRoot() string { return "/writ-" + string(c.Node) }

// containerID is the identity of one attempt to run a container: the same attempt
// has the same, so that a start that was cut off is found again.
func containerID(uid types.UID, name string, attempt int) string {
	sum := sha256.Sum256([]byte(string(uid) + "/" + name + "/" + strconv.Itoa(attempt)))
	return hex.EncodeToString(sum[:])
}

// runtimeName stands before container IDs in statuses.
const runtimeName = "writ"

func statusID(id string) string {
	if id == "" {
		return ""
	}
	return runtimeName + "://" + id
}
