package api

import (
	"runtime"

	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/component-base/compatibility"
)

// The version of Kubernetes whose behaviour this API has: that of the modules it is made of.
const (
	kubernetesMinor = "1.36"
	kubernetesPatch = "v1.36.3"
)

// version tells clients that, in place of what upstream's build writes into its binaries.
type version struct {
	compatibility.MutableEffectiveVersion
}

func (version) Info() *apimachineryversion.Info {
	return &apimachineryversion.Info{
		Major: "1", Minor: "36", GitVersion: kubernetesPatch, GitTreeState: "clean",
		GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}
