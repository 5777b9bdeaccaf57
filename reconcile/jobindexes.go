package reconcile

import (
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"

	"writ/state"
)

// noIndex is the index of a Pod that has none.
const noIndex = -1

// indexOf is which part of an Indexed Job a Pod does.
func indexOf(p *state.Record) int {
	n, err := strconv.Atoi(p.Object.GetAnnotations()[batchv1.JobCompletionIndexAnnotation])
	if err != nil || n < 0 {
		return noIndex
	}
	return n
}

// span is a range of indexes, both ends included.
type span struct{ first, last int }

// indexes are sorted spans that neither touch nor overlap.
type indexes []span

// parseIndexes reads "1,3-5"; what is not below completions, or cannot be read, is left out.
func parseIndexes(text string, completions int) indexes {
	var out indexes
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		if err != nil || first >= completions {
			continue
		}
		last := first
		if ranged {
			if last, err = strconv.Atoi(to); err != nil {
				continue
			}
		}
		out = out.with(span{first, min(last, completions-1)})
	}
	return out
}

// with adds a span that begins at or after the last one's beginning.
func (s indexes) with(next span) indexes {
	if n := len(s); n > 0 && next.first <= s[n-1].last+1 {
		s[n-1].last = max(s[n-1].last, next.last)
		return s
	}
	return append(s, next)
}

// union is all of both; neither is modified.
func (s indexes) union(o indexes) indexes {
	out := make(indexes, 0, len(s)+len(o))
	for len(s) > 0 || len(o) > 0 {
		if len(o) == 0 || len(s) > 0 && s[0].first < o[0].first {
			out, s = out.with(s[0]), s[1:]
		} else {
			out, o = out.with(o[0]), o[1:]
		}
	}
	return out
}

// setOf is the sorted numbers as indexes.
func setOf(sorted []int) (out indexes) {
	for _, n := range sorted {
		out = out.with(span{n, n})
	}
	return out
}

func (s indexes) has(n int) bool {
	for _, r := range s {
		if n <= r.last {
			return n >= r.first
		}
	}
	return false
}

func (s indexes) count() (n int) {
	for _, r := range s {
		n += r.last - r.first + 1
	}
	return n
}

// common is how many are in both.
func (s indexes) common(o indexes) (n int) {
	for len(s) > 0 && len(o) > 0 {
		n += max(0, min(s[0].last, o[0].last)-max(s[0].first, o[0].first)+1)
		if s[0].last < o[0].last {
			s = s[1:]
		} else {
			o = o[1:]
		}
	}
	return n
}

// missing is the first that are not in the set, at most n of those below the limit.
func (s indexes) missing(n, limit int) (out []int) {
	next := 0
	for _, r := range append(s[:len(s):len(s)], span{limit, limit}) {
		for ; next < min(r.first, limit) && len(out) < n; next++ {
			out = append(out, next)
		}
		next = max(next, r.last+1)
	}
	return out
}

// String is upstream's form: "0,2-4"; two in a row are no range.
func (s indexes) String() string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(r.first))
		switch {
		case r.last == r.first+1:
			b.WriteString("," + strconv.Itoa(r.last))
		case r.last > r.first:
			b.WriteString("-" + strconv.Itoa(r.last))
		}
	}
	return b.String()
}
