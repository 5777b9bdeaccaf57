package reconcile

import (
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"writ/manifest"
)

// Alarms are what a map of them would be, whatever is set and dropped.
func TestAlarms(t *testing.T) {
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	r := rand.New(rand.NewPCG(1, 2))
	a, plain := newAlarms(), map[Key]time.Time{}
	for range 20000 {
		k := Key{jobs, manifest.PodRef("default", strconv.Itoa(r.IntN(50)))}
		if r.IntN(3) == 0 {
			a.drop(k)
			delete(plain, k)
		} else {
			at := start.Add(time.Duration(r.IntN(40)) * time.Second)
			a.set(k, at)
			plain[k] = at
		}
		var first time.Time
		for _, at := range plain {
			if first.IsZero() || at.Before(first) {
				first = at
			}
		}
		if got := a.first(); !got.Equal(first) {
			t.Fatalf("first: got %v, want %v", got, first)
		}
		now := start.Add(time.Duration(r.IntN(40)) * time.Second)
		over, want := map[Key]bool{}, map[Key]bool{}
		a.over(now, func(k Key) { over[k] = true })
		for k, at := range plain {
			if !at.After(now) {
				want[k] = true
			}
		}
		if !maps.Equal(over, want) {
			t.Fatalf("over at %v: got %v, want %v", now, over, want)
		}
		if len(a.heap) > 2*len(a.at)+64 {
			t.Fatalf("%d entries for %d alarms", len(a.heap), len(a.at))
		}
	}
}
