package oci

import (
	"fmt"
	"regexp"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

// LSM is what the kernel's security modules can do on a node. The zero value is a node without.
type LSM struct {
	// AppArmor says that the node enforces profiles. DefaultProfile is what RuntimeDefault means; it is empty if it
	// could not be loaded. Loaded says whether the node has a profile.
	AppArmor       bool
	DefaultProfile string
	Loaded         func(profile string) (bool, error)
	// Labels makes the labels of a process and of its files of SELinux options ("type:container_t"); nil where the
	// node has no SELinux. It keeps the level of two Pods apart until Release is given the label of a process.
	Labels  func(options []string) (process, mount string, err error)
	Release func(process string)
}

// setLabels gives the container its AppArmor profile and its SELinux labels.
func setLabels(l *LSM, pod *corev1.Pod, c *corev1.Container, in *Input, spec *specs.Spec) error {
	profile, err := l.profile(pod, c)
	if err != nil {
		return err
	}
	spec.Process.ApparmorProfile = profile
	spec.Process.SelinuxLabel, spec.Linux.MountLabel = in.ProcessLabel, in.MountLabel
	if Privileged(c) {
		spec.Process.SelinuxLabel = "" // not confined, as with containerd
	}
	return nil
}

// profile is the container's AppArmor profile: its own choice, else the Pod's, else RuntimeDefault.
func (l *LSM) profile(pod *corev1.Pod, c *corev1.Container) (string, error) {
	choice := appArmorChoice(pod, c)
	switch {
	case !l.AppArmor: // the node refused whatever asks for more than the default
		return "", nil
	case choice.Type == corev1.AppArmorProfileTypeUnconfined:
		return "", nil
	case choice.Type == corev1.AppArmorProfileTypeLocalhost:
		name := strings.TrimSpace(*choice.LocalhostProfile)
		found, err := l.Loaded(name)
		if err != nil {
			return "", fmt.Errorf("failed to generate apparmor spec opts: %w", err)
		}
		if !found {
			return "", fmt.Errorf("failed to generate apparmor spec opts: apparmor profile not found %s", name)
		}
		return name, nil
	case Privileged(c):
		return "", nil
	case l.DefaultProfile == "":
		return "", fmt.Errorf("failed to generate apparmor spec opts: the default profile is not loaded on this node")
	}
	return l.DefaultProfile, nil
}

func appArmorChoice(pod *corev1.Pod, c *corev1.Container) corev1.AppArmorProfile {
	valid := func(p *corev1.AppArmorProfile) bool {
		return p != nil && (p.Type != corev1.AppArmorProfileTypeLocalhost || p.LocalhostProfile != nil)
	}
	if s := c.SecurityContext; s != nil && valid(s.AppArmorProfile) {
		return *s.AppArmorProfile
	}
	note := pod.Annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]
	switch name, local := strings.CutPrefix(note, corev1.DeprecatedAppArmorBetaProfileNamePrefix); {
	case local:
		return corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &name}
	case note == corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	case note == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		return corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	}
	if s := pod.Spec.SecurityContext; s != nil && valid(s.AppArmorProfile) {
		return *s.AppArmorProfile
	}
	return corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
}

// level is what containerd takes for one.
var level = regexp.MustCompile(`^s\d(-s\d)??(:c\d{1,4}(\.c\d{1,4})?(,c\d{1,4}(\.c\d{1,4})?)*)?$`)

// LabelOptions are the options of a container's SELinux labels, or of the Pod's where c is nil, in go-selinux' form.
// The error names a level that is none.
func LabelOptions(pod *corev1.Pod, c *corev1.Container) ([]string, error) {
	var o *corev1.SELinuxOptions
	if s := pod.Spec.SecurityContext; s != nil {
		o = s.SELinuxOptions
	}
	if c != nil && c.SecurityContext != nil && c.SecurityContext.SELinuxOptions != nil {
		o = c.SecurityContext.SELinuxOptions
	}
	if o == nil {
		return nil, nil
	}
	if o.Level != "" && !level.MatchString(o.Level) {
		return nil, fmt.Errorf("failed to init selinux options: the format of 'level' %q is not correct", o.Level)
	}
	var out []string
	for _, part := range []struct{ name, value string }{{"user", o.User}, {"role", o.Role}, {"type", o.Type}, {"level", o.Level}} {
		if part.value != "" {
			out = append(out, part.name+":"+part.value)
		}
	}
	return out, nil
}
