package manifest

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Cluster is the writ.yaml at the root of the followed path. Every field has a default, filled in by
// Load; the file may be absent.
type Cluster struct {
	metav1.TypeMeta `json:",inline"`
	Spec            ClusterSpec `json:"spec"`
}

// ClusterSpec holds the cluster's settings. PodCIDR, ServiceCIDR and ClusterDomain are fixed after
// the first adoption.
type ClusterSpec struct {
	// PodCIDR is the IPv4 range that pod addresses come from. Default 10.244.0.0/16.
	PodCIDR string `json:"podCIDR,omitempty"`
	// ServiceCIDR is the IPv4 range of cluster IPs. Default 10.96.0.0/16; its first address is
	// default/kubernetes, its tenth kube-system/kube-dns.
	ServiceCIDR string `json:"serviceCIDR,omitempty"`
	// ClusterDomain is the DNS suffix of the cluster. Default cluster.local.
	ClusterDomain string `json:"clusterDomain,omitempty"`
	// NodePorts is the inclusive range of node ports, "30000-32767" by default.
	NodePorts string `json:"nodePorts,omitempty"`
	// Guards keep a commit from deleting by accident.
	Guards Guards `json:"guards,omitzero"`
	// Suspend pauses adopting. Absent by default.
	Suspend *Suspend `json:"suspend,omitempty"`
	// Signers trust keys for commits that change only some paths. They matter on nodes with --trusted-signers.
	Signers []Signer `json:"signers,omitempty"`
	// Charts are the Helm charts that are part of the cluster.
	Charts []Chart `json:"charts,omitempty"`
	// Metrics are what autoscalers scale by beside CPU and memory. Absent by default.
	Metrics *Metrics `json:"metrics,omitempty"`
}
