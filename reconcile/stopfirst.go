package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/schedule"
	"writ/state"
)

// A new Pod may have no place while an old one runs: they ask for the same port of the node or for a volume that
// one Pod has for itself, or do not fit beside each other. Then an old one goes first, as far as maxUnavailable allows, and of the old ones
// that which is in the way. Where it does not allow any, the status says what the rollout waits for and
// what to change; nobody would notice otherwise.

// blockedCondition is the type of the condition by which a Deployment says that its rollout has no
// place for a new Pod: True for as long as nothing but a change helps, False while an old Pod ends.
const blockedCondition = "writ.dev/Blocked"

// Reasons of blockedCondition.
const (
	portTaken   = "HostPortTaken"
	volumeTaken = "VolumeTaken"
	doesNotFit  = "DoesNotFit"
	stopsFirst  = "StoppingFirst"
	blockedWord = "RolloutBlocked"
)

// leaving is the order in which old ReplicaSets are taken down: those in the way of new Pods first, then
// as upstream, the oldest first.
func (x *deployment) leaving() []*revision {
	if x.next == nil || len(x.old) < 2 {
		return x.old
	}
	next := &corev1.Pod{Spec: x.next.rs.Spec.Template.Spec}
	homeless := x.homeless() != nil
	rank := map[*revision]int{}
	for _, v := range x.old {
		old := &corev1.Pod{Spec: v.rs.Spec.Template.Spec}
		switch {
		case schedule.SharedPort(next, old) != "", x.sharedClaim(next, old) != "":
			rank[v] = -2
		case homeless && schedule.MakesRoom(old, next):
			rank[v] = -1
		}
	}
	sorted := slices.Clone(x.old)
	slices.SortStableFunc(sorted, func(a, b *revision) int { return cmp.Compare(rank[a], rank[b]) })
	return sorted
}

// homeless is the first by name of the new Pods for which no node was found, or nil.
func (x *deployment) homeless() (first *state.Record) {
	if x.next == nil {
		return nil
	}
	for p := range x.d.w.Owned(x.next.r.UID) {
		if p.Ref.Kind == "Pod" && active(p) && unplaced(p) != nil && (first == nil || p.Ref.Name < first.Ref.Name) {
			first = p
		}
	}
	return first
}

// unplaced is the condition that says that no node takes a Pod, or nil.
func unplaced(p *state.Record) *corev1.PodCondition {
	c := state.PodCondition(p.PodStatus(), corev1.PodScheduled)
	if p.Node != "" || c == nil || c.Status != corev1.ConditionFalse || c.Reason != corev1.PodReasonUnschedulable {
		return nil
	}
	return c
}

// block is why the new Pods of a rollout have no place.
type block struct {
	status  corev1.ConditionStatus
	reason  string
	message string
}

// blocked finds why the rollout does not go on; nil if it does, or if no other Pod has a part in it.
func (x *deployment) blocked() *block {
	p := x.homeless()
	if p == nil || x.dep.Spec.Paused || x.arriving() {
		return nil
	}
	staying, going := x.others()
	why := unplaced(p).Message
	if len(going) > 0 {
		return &block{corev1.ConditionFalse, stopsFirst, fmt.Sprintf("pod %s has no place before pod %s has ended: %s", p.Ref.Name, going[0].Ref.Name, why)}
	}
	for _, o := range staying {
		if port := schedule.SharedPort(p.Pod(), o.Pod()); port != "" {
			return &block{corev1.ConditionTrue, portTaken, fmt.Sprintf("pod %s waits for %s of the node, which the old pod %s has: %s", p.Ref.Name, port, o.Ref.Name, x.remedy())}
		}
		if claim := x.sharedClaim(p.Pod(), o.Pod()); claim != "" {
			return &block{corev1.ConditionTrue, volumeTaken, fmt.Sprintf("pod %s waits for the volume of persistentvolumeclaim %q, which the old pod %s has for itself (ReadWriteOncePod): %s", p.Ref.Name, claim, o.Ref.Name, x.remedy())}
		}
	}
	for o := range x.d.w.Owned(x.next.r.UID) {
		if o.Ref.Kind != "Pod" || o.Node == "" || terminal(o) {
			continue
		}
		if port := schedule.SharedPort(p.Pod(), o.Pod()); port != "" {
			return &block{corev1.ConditionTrue, portTaken, fmt.Sprintf("pod %s waits for %s of the node, which pod %s of the same template has: a node has it once; set spec.replicas to the number of nodes", p.Ref.Name, port, o.Ref.Name)}
		}
		if claim := x.sharedClaim(p.Pod(), o.Pod()); claim != "" {
			return &block{corev1.ConditionTrue, volumeTaken, fmt.Sprintf("pod %s waits for the volume of persistentvolumeclaim %q, which pod %s of the same template has for itself (ReadWriteOncePod); set spec.replicas to 1", p.Ref.Name, claim, o.Ref.Name)}
		}
	}
	if len(staying) == 0 {
		return nil // it would not fit without a rollout either, which the Pod says
	}
	if !strings.Contains(why, "Insufficient ") && !strings.Contains(why, "Too many pods") {
		return nil
	}
	return &block{corev1.ConditionTrue, doesNotFit, fmt.Sprintf("pod %s does not fit beside the old pods (%s): %s", p.Ref.Name, strings.TrimSuffix(why, "."), x.remedy())}
}

// sharedClaim is a claim that two Pods ask for and one Pod has for itself, empty if there is none.
func (x *deployment) sharedClaim(a, b *corev1.Pod) string {
	for name := range manifest.PodClaims(a) {
		r := x.d.w.Get(manifest.ClaimRef(x.r.Ref.Namespace, name))
		if r == nil || r.Claim() == nil || !slices.Contains(r.Claim().Spec.AccessModes, corev1.ReadWriteOncePod) {
			continue
		}
		for other := range manifest.PodClaims(b) {
			if other == name {
				return name
			}
		}
	}
	return ""
}

// arriving says that a new Pod has a place and is not available yet, or ends: something goes on by itself.
func (x *deployment) arriving() bool {
	for p := range x.d.w.Owned(x.next.r.UID) {
		if p.Ref.Kind == "Pod" && p.Node != "" && !terminal(p) && (p.Deletion != nil || !x.d.available(p, x.next.rs.Spec.MinReadySeconds)) {
			return true
		}
	}
	return false
}

// others are the Pods of old templates that have a place, sorted by name: those that stay for now and
// those that end.
func (x *deployment) others() (staying, going []*state.Record) {
	for _, v := range x.old {
		for p := range x.d.w.Owned(v.r.UID) {
			switch {
			case p.Ref.Kind != "Pod" || p.Node == "" || terminal(p):
			case p.Deletion != nil:
				going = append(going, p)
			default:
				staying = append(staying, p)
			}
		}
	}
	for _, list := range [][]*state.Record{staying, going} {
		slices.SortFunc(list, func(a, b *state.Record) int { return strings.Compare(a.Ref.Name, b.Ref.Name) })
	}
	return staying, going
}

// remedy says why no old Pod goes first, and what its author can change.
func (x *deployment) remedy() string {
	_, unavailable := x.limits()
	const recreate = "or spec.strategy.type to Recreate"
	if unavailable == 0 {
		return "maxUnavailable allows none of the old ones to go first; set spec.strategy.rollingUpdate.maxUnavailable to 1, " + recreate
	}
	missing := x.want() - survivors(x.all())
	return fmt.Sprintf("maxUnavailable allows %d to be missing, and %d are; set spec.strategy.rollingUpdate.maxUnavailable to %d, %s", unavailable, missing, unavailable+1, recreate)
}

// blockage keeps blockedCondition in the status.
func (x *deployment) blockage(s *appsv1.DeploymentStatus) {
	var b *block
	if x.next != nil && !x.d.uses(x.r) {
		b = x.blocked()
	}
	old := condition(s, blockedCondition)
	if b == nil {
		s.Conditions = without(s.Conditions, blockedCondition)
		return
	}
	if old != nil && old.Status == b.status && old.Message == b.message {
		return
	}
	if b.status == corev1.ConditionTrue && (old == nil || old.Status != b.status) {
		x.d.event(x.r, corev1.EventTypeWarning, blockedWord, deploymentController, "%s", b.message)
	}
	s.Conditions = without(s.Conditions, blockedCondition)
	x.set(s, blockedCondition, b.status, b.reason, b.message)
}
