package event

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"writ/manifest"
	"writ/state"
)

// clock is a time that stands still until it is moved.
type clock struct{ now time.Time }

func newRing(cfg Config) (*Ring, *clock) {
	c := &clock{now: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)}
	cfg.Now = func() time.Time { return c.now }
	return NewRing(cfg), c
}

func pulled(name string) state.Event {
	return state.Event{Ref: manifest.PodRef("shop", name), Type: "Normal", Reason: "Pulled", Message: "pulled " + name, Component: "kubelet"}
}

func text(entries []Entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s %s x%d %s-%s\n", e.Ref, e.Reason, e.Count, e.First.Format("04:05"), e.Last.Format("04:05"))
	}
	return b.String()
}

func TestRing_CountsWhatIsToldAgain(t *testing.T) {
	r, c := newRing(Config{})
	r.Record(pulled("a"))
	c.now = c.now.Add(time.Minute)
	r.Record(pulled("b"))
	c.now = c.now.Add(time.Minute)
	r.Record(pulled("a"))
	other := pulled("a")
	other.UID = "another incarnation"
	r.Record(other)
	want := "Pod/shop/b Pulled x1 01:00-01:00\nPod/shop/a Pulled x2 00:00-02:00\nPod/shop/a Pulled x1 02:00-02:00\n"
	if got := text(listed(r, Filter{})); got != want {
		t.Errorf("List:\n%swant:\n%s", got, want)
	}
}

func TestRing_ForgetsAfterAge(t *testing.T) {
	r, c := newRing(Config{Age: time.Hour})
	r.Record(pulled("a"))
	c.now = c.now.Add(30 * time.Minute)
	r.Record(pulled("b"))
	c.now = c.now.Add(31 * time.Minute)
	if got, want := text(listed(r, Filter{})), "Pod/shop/b Pulled x1 30:00-30:00\n"; got != want {
		t.Errorf("List: %q, want %q", got, want)
	}
	c.now = c.now.Add(time.Hour)
	if got := listed(r, Filter{}); len(got) != 0 || r.used != 0 || len(r.known) != 0 {
		t.Errorf("List: %v, %d bytes used; want nothing", got, r.used)
	}
}

func TestRing_IsBounded(t *testing.T) {
	r, _ := newRing(Config{Bytes: 10 << 10})
	for i := range 1000 {
		r.Record(pulled(fmt.Sprint("pod-", i)))
	}
	list := listed(r, Filter{})
	if r.used > 10<<10 || len(list) < 10 || list[len(list)-1].Ref.Name != "pod-999" {
		t.Errorf("%d bytes, %d events, want at most %d bytes and the last events", r.used, len(list), 10<<10)
	}
	big := pulled("big")
	big.Message = strings.Repeat("x", 20<<10)
	r.Record(big)
	if got := listed(r, Filter{}); len(got) != 1 || got[0].Ref.Name != "big" {
		t.Errorf("List: %s; want the one event that is larger than all", text(got))
	}
}

func TestRing_Filter(t *testing.T) {
	r, _ := newRing(Config{})
	r.Record(pulled("a"))
	warning := state.Event{Ref: manifest.DeploymentRef("shop", "web"), UID: "u", Type: "Warning", Reason: "Failed"}
	r.Record(warning)
	r.Record(state.Event{Ref: manifest.NodeRef("n"), Type: "Normal", Reason: "NodeReady"})
	for _, c := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "Pulled Failed NodeReady"},
		{Filter{Namespace: "shop"}, "Pulled Failed"},
		{Filter{Kind: "Pod"}, "Pulled"},
		{Filter{Kind: "Deployment"}, ""},
		{Filter{Group: "apps", Kind: "Deployment"}, "Failed"},
		{Filter{Type: "warning"}, "Failed"},
		{Filter{UID: "u"}, "Failed"},
		{Filter{Name: "n"}, "NodeReady"},
		{Filter{After: 1}, "Failed NodeReady"},
		{Filter{After: 3}, ""},
	} {
		var got []string
		for _, e := range listed(r, c.filter) {
			got = append(got, e.Reason)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("List(%+v) = %v, want %q", c.filter, got, c.want)
		}
	}
}

func TestRing_Watch(t *testing.T) {
	r := NewRing(Config{})
	const tellers, each = 4, 200
	var tell sync.WaitGroup
	for n := range tellers {
		tell.Go(func() {
			for i := range each {
				r.Record(pulled(fmt.Sprintf("pod-%d-%d", n, i%10)))
			}
		})
	}
	counts := map[string]int32{}
	total := int32(0)
	for after := uint64(0); total < tellers*each; {
		<-r.Changed(after)
		for _, e := range listed(r, Filter{After: after}) {
			total += e.Count - counts[e.Ref.Name]
			counts[e.Ref.Name] = e.Count
			after = e.Sequence
		}
	}
	tell.Wait()
	if len(counts) != tellers*10 {
		t.Errorf("saw %d events, want %d", len(counts), tellers*10)
	}
}

func listed(r *Ring, f Filter) []Entry {
	found, _ := r.List(f)
	return found
}

// Whoever watches goes on from what List says was last, also where it was of another namespace or is forgotten: else
// Changed would never wait again.
func TestList_Last(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	r := NewRing(Config{Now: func() time.Time { return now }})
	r.Record(state.Event{Ref: manifest.PodRef("shop", "a"), Reason: "Pulled"})
	r.Record(state.Event{Ref: manifest.PodRef("other", "b"), Reason: "Pulled"})
	waits := func(when string, last uint64) {
		select {
		case <-r.Changed(last):
			t.Errorf("%s: nothing was told after %d, and a watch is woken", when, last)
		default:
		}
	}
	found, last := r.List(Filter{Namespace: "shop"})
	if len(found) != 1 || last != 2 {
		t.Errorf("%d events, the last of all %d", len(found), last)
	}
	waits("of one namespace", last)
	now = now.Add(2 * DefaultAge)
	found, last = r.List(Filter{})
	if len(found) != 0 || last != 2 {
		t.Errorf("once all are forgotten: %d events, the last %d", len(found), last)
	}
	waits("once all are forgotten", last)
}
