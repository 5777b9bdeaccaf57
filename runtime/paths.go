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
	data string // volumes, writable layers, the box
	logs string
}

func (c *Config) pod(ns, name string, uid types.UID) podPaths {
	return podPaths{
		run:  filepath.Join(c.RunDir, "pods", string(uid)),
		data: filepath.Join(c.DataDir, "pods", string(uid)),
		logs: filepath.Join(c.LogDir, ns+"_"+name+"_"+string(uid)),
	}
}

func (p podPaths) volumes() string { return filepath.Join(p.data, "volumes") }

// box is a small tmpfs: what the node makes for the Pod and need not outlive a reboot.
// Its files are not on the node's own run directory, which a container could fill up.
func (p podPaths) box() string            { return filepath.Join(p.data, "box") }
func (p podPaths) shm() string            { return filepath.Join(p.box(), "shm") }
func (p podPaths) etc(name string) string { return filepath.Join(p.box(), "etc", name) }

// What belongs to one container: its writable layer on disk, the rest in the box.
func (p podPaths) containers() string         { return filepath.Join(p.data, "containers") }
func (p podPaths) container(id string) string { return p.folder(folderName(id)) }
func (p podPaths) boxed(id string) string     { return filepath.Join(p.box(), folderName(id)) }
func (p podPaths) rootfs(id string) string    { return filepath.Join(p.boxed(id), "rootfs") }
func (p podPaths) message(id string) string   { return filepath.Join(p.boxed(id), "termination-log") }
func (p podPaths) stage(id string) string     { return filepath.Join(p.container(id), "stage") }

// layers is where an image's layers are while they are mounted for users of the Pod's own.
func (p podPaths) layers(name string) string { return filepath.Join(p.folder(name), "layers") }

// folder is a container's by the name of its directory.
func (p podPaths) folder(name string) string { return filepath.Join(p.containers(), name) }

// folderName is short: it is in the table of mounts three times for each container,
// and everybody who starts one reads that.
func folderName(id string) string { return id[:min(16, len(id))] }

func (p podPaths) log(container string, attempt int) string {
	return filepath.Join(p.logs, container, strconv.Itoa(attempt)+".log")
}

// link is the name by which collectors find a log.
func (c *Config) link(pod *corev1.Pod, container, id string) string {
	const suffix, longest = ".log", 255 // of a name in a directory, in bytes
	name := pod.Name + "_" + pod.Namespace + "_" + container + "-" + id
	return filepath.Join(c.LogLinks, name[:min(len(name), longest-len(suffix))]+suffix)
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
