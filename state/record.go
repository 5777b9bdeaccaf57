package state

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
)

// Origin says where an object comes from.
type Origin uint8

const (
	// Authored objects are written in the adopted commit.
	Authored Origin = iota + 1
	// Derived objects were made by a computation for another object: the ReplicaSet of a Deployment.
	Derived
	// Builtin objects are there although nobody wrote them: namespace default, Service default/kubernetes.
	Builtin
	// Restored objects were found with the running Pods when the store was rebuilt. They stand for
	// authored ones until a commit is adopted: it takes them over with their UIDs, or prunes them.
	Restored
)

// PodStopped is the type of the Pod condition by which a node says that nothing of a deleted Pod is
// left on it: no process, mount or address. The record may then be removed.
const PodStopped corev1.PodConditionType = "writ.dev/Stopped"

func (o Origin) String() string {
	switch o {
	case Authored:
		return "authored"
	case Derived:
		return "derived"
	case Builtin:
		return "builtin"
	case Restored:
		return "restored"
	}
	return "unknown"
}

// Record is what the system knows of one object: the object as it was written or derived, and beside
// it, never inside it, the facts that others added. It is immutable.
type Record struct {
	Ref        manifest.Ref
	UID        types.UID
	Origin     Origin
	Generation int64
	Created    time.Time // when the object was first known; second precision
	Revision   Revision  // of the last change of any fact
	Commit     string    // the adopted commit that last changed Object; empty for Builtin
	Object     manifest.Object

	Node       Node        // Pods: where it is bound, empty while it waits; PersistentVolumes: who has the files, empty if every node can mount them
	Deletion   *Deletion   // nil while the object is to stay
	Allocation *Allocation // Services, PersistentVolumeClaims, PersistentVolumes, what is autoscaled: what was allocated for it
	Status     Status      // last reported status, nil before the first
	Routed     Revision    // Nodes: the revision up to which the node's routing is in the kernel
	// Annotations are computed for the object and shown beside those that its author wrote: the
	// revision of a Deployment. Never modified after they were put.
	Annotations map[string]string
	Controller  *Controller // of what is authored: who controls it, nil if nobody does
	Metrics     *Metrics    // HorizontalPodAutoscalers: what was measured for it last, nil before the first time
	Scaling     *Scaling    // HorizontalPodAutoscalers: what it remembers
}

// declared says that the object is written in the repository, or stands for one that is.
func (r *Record) declared() bool { return r.Origin == Authored || r.Origin == Restored }

// Deletion is the decision that an object goes.
type Deletion struct {
	At       time.Time `json:"at"`       // when it was decided: Kubernetes' deletionTimestamp is At + Grace
	Grace    int64     `json:"grace"`    // seconds the object may still take
	Revision Revision  `json:"revision"` // of the Batch that decided it; set by Apply
	Reason   string    `json:"reason"`   // one line for people
}

// Deadline is when the grace has passed.
func (d *Deletion) Deadline() time.Time { return d.At.Add(Seconds(d.Grace)) }

// Stamp is a time as statuses carry it: whole seconds, as they are kept on disk.
func Stamp(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second).UTC()) }

// Seconds is a number of a manifest, which may be more than a Duration holds: at most a hundred years.
func Seconds(n int64) time.Duration {
	const most = 100 * 365 * 24 * 60 * 60
	return time.Duration(min(n, most)) * time.Second
}

// Allocation is what an object was given beyond what its author wrote.
type Allocation struct {
	ClusterIPs []string         `json:"clusterIPs,omitempty"` // Services; "None" for headless ones
	NodePorts  map[string]int32 `json:"nodePorts,omitempty"`  // Services; by "protocol/port", as in "TCP/80"
	Volume     string           `json:"volume,omitempty"`     // PersistentVolumeClaims: the PersistentVolume, for good
	Claim      *Claimed         `json:"claim,omitempty"`      // PersistentVolumes: who has it, or had it last
	Replicas   *int32           `json:"replicas,omitempty"`   // what an autoscaler scales: the size that it decided last
}

// Claimed names the PersistentVolumeClaim that has a volume.
type Claimed struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
}

// Status is one of upstream's status structs, behind a pointer: *corev1.PodStatus, *corev1.NodeStatus,
// *appsv1.DeploymentStatus, *appsv1.ReplicaSetStatus, *corev1.ServiceStatus, *corev1.NamespaceStatus,
// *corev1.PersistentVolumeClaimStatus, *corev1.PersistentVolumeStatus, *appsv1.StatefulSetStatus, *appsv1.DaemonSetStatus,
// *batchv1.JobStatus, *batchv1.CronJobStatus, *corev1.ReplicationControllerStatus, *policyv1.PodDisruptionBudgetStatus,
// *autoscalingv2.HorizontalPodAutoscalerStatus.
// It is never modified after it was put.
type Status interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}
