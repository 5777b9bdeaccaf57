package state

import (
	"strings"

	"writ/manifest"
)

// join makes a key of parts that cannot hold a zero byte; each part ends with one, so that a key is
// a prefix of another only where its parts are.
func join(parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += len(p) + 1
	}
	key := make([]byte, 0, n)
	for _, p := range parts {
		key = append(append(key, p...), 0)
	}
	return key
}

func recordKey(ref manifest.Ref) []byte { return join(ref.Kind, ref.Group, ref.Namespace, ref.Name) }

func refKey(prefix []byte, ref manifest.Ref) []byte { return append(prefix, recordKey(ref)...) }

// labelIndexed says whether a kind's labels are indexed: those that selectors are asked about.
func labelIndexed(group, kind string) bool {
	switch kind {
	case "Pod":
		return group == ""
	case "ReplicaSet":
		return group == "apps"
	case "EndpointSlice":
		return group == "discovery.k8s.io"
	}
	return false
}

// indexKeys are the keys under which a record stands in the three indexes. Nil means not at all.
type indexKeys struct {
	owner, node []byte
	labels      [][]byte
}

func keysOf(r *Record) indexKeys {
	var k indexKeys
	if r == nil {
		return k
	}
	if c := ControllerOf(r); c != nil {
		k.owner = refKey(join(string(c.UID)), r.Ref)
	}
	if isPod(r.Ref) && r.Node != "" {
		k.node = refKey(join(string(r.Node)), r.Ref)
	}
	if labelIndexed(r.Ref.Group, r.Ref.Kind) {
		for key, value := range r.Object.GetLabels() {
			k.labels = append(k.labels, join(r.Ref.Kind, r.Ref.Group, r.Ref.Namespace, key, value, r.Ref.Name))
		}
	}
	return k
}

// ServiceOf is the name of the Service that an EndpointSlice belongs to, empty if none.
func ServiceOf(r *Record) string {
	if r == nil || r.Object == nil {
		return ""
	}
	return strings.TrimSpace(r.Object.GetLabels()["kubernetes.io/service-name"])
}
