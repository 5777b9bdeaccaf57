package reconcile

import (
	"fmt"
	"testing"
	"time"
)

func TestIndexes(t *testing.T) {
	for _, tt := range []struct {
		text        string
		completions int
		want        string
		count       int
	}{
		{"", 5, "", 0},
		{"0", 5, "0", 1},
		{"0,1", 5, "0,1", 2},
		{"0-2", 5, "0-2", 3},
		{"0,2-4,9", 10, "0,2-4,9", 5},
		{"0-1,2,3", 10, "0-3", 4},
		{"0,2-7,9", 5, "0,2-4", 4},
		{"x,1,3-y", 5, "1", 1},
	} {
		got := parseIndexes(tt.text, tt.completions)
		if got.String() != tt.want || got.count() != tt.count {
			t.Errorf("%q of %d: %s (%d), want %s (%d)", tt.text, tt.completions, got, got.count(), tt.want, tt.count)
		}
	}
}

func TestIndexes_Sets(t *testing.T) {
	for _, tt := range []struct {
		a, b, union string
		common      int
		missing     string
	}{
		{"", "", "", 0, "[0 1 2]"},
		{"0-2", "4", "0-2,4", 0, "[3 5 6]"},
		{"1,3,5", "0,2,4", "0-5", 0, "[6 7 8]"},
		{"0-5", "2,3,5-8", "0-8", 3, "[9]"},
		{"0-9", "", "0-9", 0, "[]"},
		{"4-9", "4-9", "4-9", 6, "[0 1 2]"},
	} {
		a, b := parseIndexes(tt.a, 10), parseIndexes(tt.b, 10)
		u := a.union(b)
		if u.String() != tt.union || a.common(b) != tt.common || fmt.Sprint(u.missing(3, 10)) != tt.missing {
			t.Errorf("%s and %s: union %s, %d in common, missing %v; want %s, %d, %s", a, b, u, a.common(b), u.missing(3, 10), tt.union, tt.common, tt.missing)
		}
		if a.String() != tt.a || b.String() != tt.b {
			t.Errorf("%s and %s became %s and %s", tt.a, tt.b, a, b)
		}
		for i := range 11 {
			if u.has(i) != (a.has(i) || b.has(i)) {
				t.Errorf("%s: has %d is %t", u, i, u.has(i))
			}
		}
	}
}

// The delay doubles with every failure since a success, from ten seconds to ten minutes; a clock that went back by far
// lets nobody wait for it.
func TestSetback_Until(t *testing.T) {
	last := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for failures, want := range map[int32]time.Duration{0: 0, 1: 10, 2: 20, 3: 40, 6: 320, 7: 600, 8: 600, 1 << 30: 600} {
		s := setback{failures, last}
		at := s.until(last)
		if want == 0 && !at.IsZero() || want > 0 && at.Sub(last) != want*time.Second {
			t.Errorf("after %d failures: %v, want %d s", failures, at, want)
		}
		if back := parseSetback(s.String()); failures > 0 && (back.failures != failures || !back.last.Equal(last)) {
			t.Errorf("%v comes back as %v", s, back)
		}
		if at := s.until(last.Add(want * time.Second)); !at.IsZero() {
			t.Errorf("after %d failures and %d s: %v, want none", failures, want, at)
		}
		if at := s.until(last.Add(-time.Hour)); !at.IsZero() {
			t.Errorf("an hour before: %v, want none", at)
		}
	}
}
