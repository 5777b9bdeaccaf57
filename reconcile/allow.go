package reconcile

import (
	"strconv"
	"strings"

	"writ/manifest"
)

// AllowDelete is the trailer of a commit message by which its author says what the commit deletes on
// purpose: "Kind/namespace/name" (or "Kind/name") is one object, a number is that many, whichever they
// are, and "all" everything. Several trailers add up.
const AllowDelete = "Allow-Delete"

// allowed is what the trailers of a commit allow.
type allowed struct {
	all   bool
	count int // of objects that are not named
	names map[string]bool
}

// allowance reads the trailers. What says nothing that can be understood allows nothing.
func allowance(trailers map[string][]string) allowed {
	a := allowed{names: map[string]bool{}}
	for key, values := range trailers {
		if !strings.EqualFold(key, AllowDelete) {
			continue
		}
		for _, v := range values {
			v = strings.TrimSpace(v)
			if n, err := strconv.Atoi(v); err == nil {
				a.count += max(n, 0)
			} else if strings.EqualFold(v, "all") {
				a.all = true
			} else {
				a.names[v] = true
			}
		}
	}
	return a
}

// rest are the objects that are not allowed by name.
func (a allowed) rest(refs []manifest.Ref) (rest []manifest.Ref) {
	if a.all {
		return nil
	}
	for _, ref := range refs {
		if !a.names[ref.String()] {
			rest = append(rest, ref)
		}
	}
	return rest
}
