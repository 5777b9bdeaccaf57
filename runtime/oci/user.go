package oci

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

// maxAccounts bounds what is read of an image's passwd and group files.
const maxAccounts = 4 << 20

// User is who a container runs as: the Pod's choice, else the image's user
// (a name is looked up in the image's passwd file), else root. The error
// matches ErrConfig where the Pod forbids the outcome.
func User(pod *corev1.Pod, c *corev1.Container, imageUser string, root fs.FS) (specs.User, error) {
	uid, gid, nonRoot := wanted(pod, c)
	if err := checkNonRoot(pod, c, imageUser, uid, nonRoot); err != nil {
		return specs.User{}, err
	}
	name, _, _ := strings.Cut(imageUser, ":") // its group counts for nothing, as with kubelet and containerd
	if uid != nil {
		name = strconv.FormatInt(*uid, 10)
	}
	of, err := find(name, root) // with the groups that this user is in
	if err != nil {
		return specs.User{}, err
	}
	found := of
	if gid != nil {
		if found, err = find(name+":"+strconv.FormatInt(*gid, 10), root); err != nil {
			return specs.User{}, err
		}
	}
	if nonRoot && found.Uid == 0 {
		return specs.User{}, configErrorf("container has runAsNonRoot and image will run as root (pod: %q, container: %s)", podName(pod), c.Name)
	}
	return specs.User{UID: uint32(found.Uid), GID: uint32(found.Gid), AdditionalGids: groups(pod, of.Sgids, found.Gid)}, nil
}

// find looks a user up in the image's accounts: a name or a number, with a group after a colon or without.
func find(spec string, root fs.FS) (*user.ExecUser, error) {
	found, err := user.GetExecUser(spec, &user.ExecUser{Home: "/"}, account(root, "etc/passwd"), account(root, "etc/group"))
	if err != nil {
		return nil, configErrorf("unable to find user %s: %v", spec, err)
	}
	return found, nil
}

func wanted(pod *corev1.Pod, c *corev1.Container) (uid, gid *int64, nonRoot bool) {
	if s := pod.Spec.SecurityContext; s != nil {
		uid, gid = s.RunAsUser, s.RunAsGroup
		nonRoot = optional(s.RunAsNonRoot)
	}
	if s := c.SecurityContext; s != nil {
		if s.RunAsUser != nil {
			uid = s.RunAsUser
		}
		if s.RunAsGroup != nil {
			gid = s.RunAsGroup
		}
		if s.RunAsNonRoot != nil {
			nonRoot = *s.RunAsNonRoot
		}
	}
	return uid, gid, nonRoot
}

func checkNonRoot(pod *corev1.Pod, c *corev1.Container, imageUser string, uid *int64, nonRoot bool) error {
	if !nonRoot {
		return nil
	}
	if uid != nil {
		if *uid == 0 {
			return configErrorf("container's runAsUser breaks non-root policy (pod: %q, container: %s)", podName(pod), c.Name)
		}
		return nil
	}
	name, _, _ := strings.Cut(imageUser, ":")
	switch _, err := strconv.ParseInt(name, 10, 64); {
	case name == "":
		return configErrorf("container has runAsNonRoot and image will run as root (pod: %q, container: %s)", podName(pod), c.Name)
	case err != nil:
		return configErrorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root (pod: %q, container: %s)", name, podName(pod), c.Name)
	}
	return nil
}

// groups are the supplementary groups: the primary one, so that no setgid(2) leaves it, then the image's, unless the
// Pod's policy is Strict, the Pod's and its fsGroup.
func groups(pod *corev1.Pod, image []int, primary int) []uint32 {
	out := []uint32{uint32(primary)}
	s := pod.Spec.SecurityContext
	strict := s != nil && s.SupplementalGroupsPolicy != nil && *s.SupplementalGroupsPolicy == corev1.SupplementalGroupsPolicyStrict
	if !strict {
		for _, g := range image {
			out = append(out, uint32(g))
		}
	}
	if s != nil {
		for _, g := range s.SupplementalGroups {
			out = append(out, uint32(g))
		}
		if s.FSGroup != nil {
			out = append(out, uint32(*s.FSGroup))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// account reads a file of the image; one that is missing or odd counts as empty.
func account(root fs.FS, name string) io.Reader {
	if root == nil {
		return bytes.NewReader(nil)
	}
	f, err := root.Open(name)
	if err != nil {
		return bytes.NewReader(nil)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return bytes.NewReader(nil)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxAccounts))
	if err != nil {
		return bytes.NewReader(nil)
	}
	return bytes.NewReader(data)
}

func podName(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}
