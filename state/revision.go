package state

import "strconv"

// Node is the name of a node.
type Node string

// Revision orders every change of a cluster. Its high 24 bits are the epoch, raised at every start
// or change of leader; the rest counts Batches. It is Kubernetes' resourceVersion, written in decimal.
type Revision uint64

const epochShift = 40

// FirstOf is the smallest revision of an epoch.
func FirstOf(epoch uint32) Revision { return Revision(epoch) << epochShift }

// Epoch is the start or leadership during which the revision was given.
func (r Revision) Epoch() uint32 { return uint32(r >> epochShift) }

func (r Revision) String() string { return strconv.FormatUint(uint64(r), 10) }
