package oci

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Facts is what the containers of one Pod depend on beside the Pod. Nothing in
// it is modified.
type Facts struct {
	// Pod is the full object: with UID and node name.
	Pod *corev1.Pod
	// PodIPs and HostIPs are as in the Pod's status.
	PodIPs, HostIPs []string
	// Services are those that the Pod may be told about, with cluster IPs.
	Services []*corev1.Service
	// ConfigMap and Secret return an object of the Pod's namespace, nil if there is none.
	ConfigMap func(name string) *corev1.ConfigMap
	Secret    func(name string) *corev1.Secret
	// EnvFile reads a variable from a file of a volume, empty if it is not in there; nil where no
	// volume is mounted.
	EnvFile func(volume, path, key string) (string, error)
	// Allocatable stands in for limits that are not set (resourceFieldRef).
	Allocatable corev1.ResourceList
	// Machine is the node.
	Machine Machine
}

// Machine is what a node allows and has.
type Machine struct {
	// Capabilities are all that the node's daemon can hand on ("CAP_CHOWN"), which
	// is what ALL and privileged mean.
	Capabilities []string
	// MemoryBytes is the node's capacity.
	MemoryBytes int64
	// CgroupV2 says that the node has the unified hierarchy only.
	CgroupV2 bool
	// OOMScoreFloor is the lowest oom_score_adj the daemon may give.
	OOMScoreFloor int
	// PIDsLimit bounds the processes of a Pod; 0 is no bound.
	PIDsLimit int64
	// CPUPeriod is how long a period of the scheduler is in which a container has its quota, in
	// microseconds; 0 is 100,000. NoCPUQuota lets limits of CPU go unenforced.
	CPUPeriod  uint64
	NoCPUQuota bool
	// SwapControl says that the kernel counts swap for cgroups. SwapBytes is the swap that Pods share; 0 is none.
	SwapControl bool
	SwapBytes   int64
	// HugePages are the sizes that the node's cgroups can bound, in the kernel's words ("2MB").
	HugePages []string
	// Devices are the node's device nodes as they are now, for privileged containers; nil where there are none.
	Devices func() []Device
	// SeccompProfile returns the content of a Localhost profile.
	SeccompProfile func(name string) ([]byte, error)
	// HotPaths are masked beside the usual ones: what tells of the processors' heat.
	HotPaths []string
	// LSM is what else confines processes on this node.
	LSM LSM
}

// ErrConfig: the container cannot be made of what is there now; it may when a
// ConfigMap, a Secret or the Pod changes (Kubernetes' CreateContainerConfigError).
var ErrConfig = errors.New("container configuration")

// configError carries upstream's sentence and matches ErrConfig.
type configError struct{ text string }

func (e *configError) Error() string        { return e.text }
func (e *configError) Is(target error) bool { return target == ErrConfig }

func configErrorf(format string, args ...any) error {
	return &configError{fmt.Sprintf(format, args...)}
}

// ConfigErrorf makes an error that matches ErrConfig; its text is upstream's sentence.
func ConfigErrorf(format string, args ...any) error { return configErrorf(format, args...) }

func optional(b *bool) bool { return b != nil && *b }

// SecretData is a Secret's data with its stringData folded in, as an API server does on write.
func SecretData(s *corev1.Secret) map[string][]byte {
	if len(s.StringData) == 0 {
		return s.Data
	}
	data := make(map[string][]byte, len(s.Data)+len(s.StringData))
	for k, v := range s.Data {
		data[k] = v
	}
	for k, v := range s.StringData {
		data[k] = []byte(v)
	}
	return data
}
