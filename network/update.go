package network

import (
	"maps"
	"slices"
	"strings"

	"writ/manifest"
	"writ/state"
)

// Update makes the ruleset of a View out of that of an earlier one and the changes in between; moved
// are pods that got or lost their address. It is pure, and equal to Compile of the View. The deltas say
// how the two differ; none means that they are equal.
func Update(rs Ruleset, v state.View, changes []state.Change, at Addresses, moved ...manifest.Ref) (Ruleset, []Delta, error) {
	ranges, err := rangesOf(v)
	if err != nil {
		return rs, nil, err
	}
	if ranges != rs.Ranges || rs.fronts == nil {
		next, err := Compile(v, at)
		if err != nil {
			return rs, nil, err
		}
		return next, Diff(rs, next), nil
	}
	fronts, byOwner := rs.fronts.Txn(), rs.byOwner.Txn()
	touched := map[Key]bool{}
	owners := touchedServices(changes)
	touchPods(owners, v.Self(), changes, moved)
	for name := range owners {
		old, _ := byOwner.Get([]byte(name))
		list := frontendsOfOwner(v, ranges, name, at)
		if slices.EqualFunc(old, list, (*Frontend).equal) {
			continue
		}
		for _, f := range old {
			fronts.Delete(frontKey(f))
			touched[f.Key] = true
		}
		for _, f := range list {
			fronts.Insert(frontKey(f), f)
			touched[f.Key] = true
		}
		if len(list) == 0 {
			byOwner.Delete([]byte(name))
		} else {
			byOwner.Insert([]byte(name), list)
		}
	}
	if len(touched) == 0 {
		return rs, nil, nil
	}
	next := Ruleset{Ranges: ranges, fronts: fronts.CommitOnly(), byOwner: byOwner.CommitOnly()}
	return next, deltasAt(rs, next, touched), nil
}

// frontendsOfOwner are the frontends of a Service or a pod, by the name in Frontend.Owner.
func frontendsOfOwner(v state.View, r Ranges, owner string, at Addresses) []*Frontend {
	pod, isPod := strings.CutPrefix(owner, podPrefix)
	namespace, name, _ := strings.Cut(pod, "/")
	if isPod {
		if record := v.Pod(namespace, name); record != nil {
			return hostPortsOf(record, at)
		}
		return nil
	}
	if record := v.Service(namespace, name); record != nil {
		return frontendsOf(v, r, record)
	}
	return nil
}

// touchedServices are the services that changes are about, as namespace/name.
func touchedServices(changes []state.Change) map[string]bool {
	out := map[string]bool{}
	for i := range changes {
		c := &changes[i]
		switch c.Ref.GroupKind() {
		case manifest.ServiceRef("", "").GroupKind():
			out[serviceName(c.Ref.Namespace, c.Ref.Name)] = true
		case manifest.EndpointSliceRef("", "").GroupKind():
			for _, r := range []*state.Record{c.Old, c.New} {
				if name := state.ServiceOf(r); name != "" {
					out[serviceName(c.Ref.Namespace, name)] = true
				}
			}
		}
	}
	return out
}

// deltasAt compares who has each of some keys.
func deltasAt(from, to Ruleset, keys map[Key]bool) []Delta {
	var out []Delta
	for k := range maps.Keys(keys) {
		was, is := winner(from.fronts, k), winner(to.fronts, k)
		if was == is || was != nil && is != nil && was.equal(is) {
			continue
		}
		out = append(out, Delta{Old: was, New: is})
	}
	sortDeltas(out)
	return out
}
