package runtime

import (
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	sysctls "k8s.io/component-helpers/node/util/sysctl"

	"writ/runtime/image"
	"writ/runtime/oci"
	"writ/runtime/shim"
)

// sandbox is what the containers of the Pod are to share, but for its network.
func (w *worker) sandbox() (shim.Sandbox, error) {
	pod := w.desired.Pod
	box := shim.Sandbox{
		CgroupPath: w.r.cfg.cgroup(w.uid), Resources: oci.PodResources(&w.r.machine, pod),
		HostIPC: pod.Spec.HostIPC, Sysctls: podSysctls(pod),
	}
	if on := pod.Spec.ShareProcessNamespace; on != nil && *on {
		box.SharePIDs, box.PauseRoot = true, w.paths.pause()
	}
	if pod.Spec.HostNetwork {
		return box, nil
	}
	name, err := hostname(pod, w.domain())
	box.Hostname = name
	return box, err
}

// furnish makes what only some Pods have: users and labels of their own, a root for process 1. The Pod's
// directories are there.
func (w *worker) furnish(box *shim.Sandbox) error {
	l, err := w.podLabels()
	if err != nil {
		return err
	}
	box.ProcessLabel = l.Process
	if box.SharePIDs {
		if err := os.MkdirAll(box.PauseRoot, 0o755); err != nil {
			return err
		}
	}
	if oci.HostUsers(w.desired.Pod) {
		return nil
	}
	if box.Users, err = w.r.users.of(w.uid); err != nil {
		return err
	}
	own := []string{w.paths.data, w.paths.box()}
	if box.SharePIDs {
		own = append(own, box.PauseRoot)
	}
	return w.openWay(box.Users, own...)
}

// mountRoot mounts the container's root file system, as the Pod's users and labels want it.
func (w *worker) mountRoot(img *image.Image, id string, l labels) error {
	as, dir := image.As{Label: l.Mount}, w.paths.container(id)
	if !oci.HostUsers(w.desired.Pod) {
		users, err := w.r.users.of(w.uid)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(w.paths.boxed(id), 0o700); err != nil {
			return err
		}
		if err := w.openWay(users, w.paths.boxed(id)); err != nil {
			return err
		}
		if as.Users, err = os.Open(shim.UserPath(w.paths.run)); err != nil {
			return err
		}
		defer as.Users.Close()
		as.First, as.Stage = users.First, w.paths.layers(folderName(id))
	}
	if err := w.relabel(l); err != nil {
		return err
	}
	return w.r.images.MountAs(*img, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), w.paths.rootfs(id), as)
}

// podSysctls are those of the Pod, with what containerd gives a network of one's own: everybody may listen
// below port 1024 and send pings.
func podSysctls(pod *corev1.Pod) map[string]string {
	out := map[string]string{}
	if !pod.Spec.HostNetwork {
		out["net.ipv4.ip_unprivileged_port_start"] = "0"
		if oci.HostUsers(pod) {
			out["net.ipv4.ping_group_range"] = "0 2147483647"
		}
	}
	if s := pod.Spec.SecurityContext; s != nil {
		for _, one := range s.Sysctls {
			out[sysctls.NormalizeName(one.Name)] = one.Value
		}
	}
	return out
}
