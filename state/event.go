package state

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"writ/manifest"
)

// Event is something that happened to an object and is told to people. Events are no part of the
// World: a node keeps the last hour of them (state/event).
type Event struct {
	Ref       manifest.Ref `json:"ref"`
	UID       types.UID    `json:"uid,omitempty"`
	Field     string       `json:"field,omitempty"` // the part of the object, as upstream's fieldPath: "spec.containers{web}"
	Type      string       `json:"type"`            // "Normal" or "Warning"
	Reason    string       `json:"reason"`          // upstream's word: "Pulled", "BackOff", "ScalingReplicaSet"
	Message   string       `json:"message"`         // upstream's sentence
	Component string       `json:"component"`       // "kubelet", "deployment-controller": upstream's names, which users filter by
	Count     int32        `json:"count"`
	First     time.Time    `json:"first"`
	Last      time.Time    `json:"last"`
}
