package runtime

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
)

// userLabel keeps whom a container was started as: user, group and supplementary groups, with colons between.
func userLabel(u specs.User) string {
	parts := []string{strconv.FormatUint(uint64(u.UID), 10), strconv.FormatUint(uint64(u.GID), 10)}
	for _, g := range u.AdditionalGids {
		parts = append(parts, strconv.FormatUint(uint64(g), 10))
	}
	return strings.Join(parts, ":")
}

// containerUser reads a userLabel for the container's status; nil without one.
func containerUser(label string) *corev1.ContainerUser {
	var ids []int64
	for part := range strings.SplitSeq(label, ":") {
		id, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil
		}
		ids = append(ids, id)
	}
	if len(ids) < 2 {
		return nil
	}
	return &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: ids[0], GID: ids[1], SupplementalGroups: ids[2:]}}
}

// pastUser is the userLabel of which a status was made, "" if it names nobody.
func pastUser(u *corev1.ContainerUser) string {
	if u == nil || u.Linux == nil {
		return ""
	}
	past := specs.User{UID: uint32(u.Linux.UID), GID: uint32(u.Linux.GID)}
	for _, g := range u.Linux.SupplementalGroups {
		past.AdditionalGids = append(past.AdditionalGids, uint32(g))
	}
	return userLabel(past)
}
