package main

import (
	"runtime/debug"
	"strings"
)

// kubernetesVersion is that of the linked Kubernetes code.
func kubernetesVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "k8s.io/kubernetes" {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return "unknown"
}
