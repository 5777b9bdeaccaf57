package runtime

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/apparmor"
	"github.com/opencontainers/selinux/go-selinux"
	"github.com/opencontainers/selinux/go-selinux/label"

	corev1 "k8s.io/api/core/v1"

	"writ/disk"
	"writ/runtime/oci"
)

// appArmorDefault is the profile that RuntimeDefault means, containerd's under a name of its own.
const appArmorDefault = "writ-default"

// readLSM finds out which security modules confine processes on this node.
func readLSM(tell func(message string, err error)) oci.LSM {
	var l oci.LSM
	if data, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err == nil && strings.HasPrefix(string(data), "Y") {
		l.AppArmor, l.Loaded = true, profileLoaded
		if err := apparmor.LoadDefaultProfile(appArmorDefault); err != nil {
			tell("the default AppArmor profile is not loaded, install apparmor_parser", err)
		} else {
			l.DefaultProfile = appArmorDefault
		}
	}
	if selinux.GetEnabled() {
		l.Labels, l.Release = label.InitLabels, selinux.ReleaseLabel
	}
	return l
}

// profileLoaded reads the kernel's list: "name (mode)" on each line.
func profileLoaded(name string) (bool, error) {
	data, err := os.ReadFile("/sys/kernel/security/apparmor/profiles")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(data)) {
		if i := strings.LastIndex(line, " ("); i >= 0 && line[:i] == name {
			return true, nil
		}
	}
	return false, nil
}

// labels are the two labels of SELinux.
type labels struct {
	Process string `json:"process"`
	Mount   string `json:"mount"`
}

// podLabels are the Pod's: made once, so that all its containers, also those after a restart, share a level that no
// other Pod has.
func (w *worker) podLabels() (labels, error) {
	var l labels
	if w.r.machine.LSM.Labels == nil {
		return l, nil
	}
	if data, err := os.ReadFile(w.paths.labels()); err == nil && json.Unmarshal(data, &l) == nil {
		selinux.ReserveLabel(l.Process)
		return l, nil
	}
	options, err := oci.LabelOptions(w.desired.Pod, nil)
	if err != nil {
		return l, err
	}
	if l.Process, l.Mount, err = w.r.machine.LSM.Labels(options); err != nil {
		return l, fmt.Errorf("make SELinux labels: %w", err)
	}
	data, err := json.Marshal(l)
	if err == nil {
		err = disk.Replace(w.paths.labels(), data)
	}
	if err != nil {
		w.r.machine.LSM.Release(l.Process) // the next try makes others
	}
	return l, err
}

// releaseLabels gives the Pod's level back once nothing of it runs: another Pod may have it.
func (w *worker) releaseLabels() {
	if w.r.machine.LSM.Labels == nil {
		return
	}
	var l labels
	if data, err := os.ReadFile(w.paths.labels()); err == nil && json.Unmarshal(data, &l) == nil {
		w.r.machine.LSM.Release(l.Process)
	}
}

// containerLabels are the Pod's unless the container has options of its own; the level stays the Pod's unless it is
// among them.
func (w *worker) containerLabels(c *corev1.Container) (labels, error) {
	pod, err := w.podLabels()
	if err != nil || w.r.machine.LSM.Labels == nil || c.SecurityContext == nil || c.SecurityContext.SELinuxOptions == nil {
		return pod, err
	}
	options, err := oci.LabelOptions(w.desired.Pod, c)
	if err != nil {
		return labels{}, err
	}
	if !slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, "level:") }) {
		if parts := strings.SplitN(pod.Process, ":", 4); len(parts) == 4 {
			options = append(options, "level:"+parts[3])
		}
	}
	var own labels
	if own.Process, own.Mount, err = w.r.machine.LSM.Labels(options); err != nil {
		return own, fmt.Errorf("make SELinux labels: %w", err)
	}
	return own, nil
}

// relabel gives what the node made for the Pod a label with which its containers may use it. A hostPath keeps its own.
func (w *worker) relabel(l labels) error {
	if l.Mount == "" {
		return nil
	}
	for _, path := range []string{w.paths.volumes(), w.paths.etc(""), w.paths.shm()} {
		if !exists(path) {
			continue
		}
		if err := label.Relabel(path, l.Mount, false); err != nil {
			return fmt.Errorf("relabel %q with %q failed: %w", path, l.Mount, err)
		}
	}
	return nil
}
