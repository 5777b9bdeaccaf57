package manifest

import (
	"errors"
	"testing"
	"testing/fstest"
	"time"
)

func TestMaxDeletes_Exceeded(t *testing.T) {
	number := func(n int) *int { return &n }
	tests := []struct {
		limits MaxDeletes
		n, all int
		want   bool
	}{
		{MaxDeletes{}, 10, 20, false},
		{MaxDeletes{}, 11, 54, true},
		{MaxDeletes{}, 11, 55, false},
		{MaxDeletes{Objects: number(3)}, 3, 4, false},
		{MaxDeletes{Objects: number(3)}, 4, 1000, true},
		{MaxDeletes{Percent: number(50)}, 5, 10, false},
		{MaxDeletes{Percent: number(50)}, 6, 10, true},
		{MaxDeletes{Objects: number(0)}, 1, 100, true},
		{MaxDeletes{Percent: number(100)}, 50, 50, false},
		{MaxDeletes{Objects: number(2), Percent: number(10)}, 3, 30, false},
		{MaxDeletes{Objects: number(2), Percent: number(10)}, 4, 30, true},
	}
	for _, test := range tests {
		if got := test.limits.Exceeded(test.n, test.all); got != test.want {
			t.Errorf("%d of %d with %q: got %t", test.n, test.all, test.limits, got)
		}
	}
}

func TestLoad_GuardsAndSuspend(t *testing.T) {
	load := func(settings string) (ClusterSpec, Mistakes) {
		t.Helper()
		set, err := Load(fstest.MapFS{"writ.yaml": {Data: []byte(settings)}}, nil)
		var mistakes Mistakes
		if err != nil && !errors.As(err, &mistakes) {
			t.Fatal(err)
		}
		if mistakes != nil {
			return ClusterSpec{}, mistakes
		}
		return set.Settings().Spec, nil
	}
	const head = "apiVersion: writ.dev/v1alpha1\nkind: Cluster\n"
	c, mistakes := load(head + "spec:\n  guards: {maxDeletes: {percent: 5}}\n  suspend:\n    reason: moving house\n    until: 2027-01-31T18:00:00Z\n")
	if len(mistakes) != 0 || c.Guards.MaxDeletes.String() != "5 %" || c.Suspend.String() != "moving house (until 2027-01-31T18:00:00Z)" {
		t.Fatalf("read %+v, %v", c, mistakes)
	}
	end := time.Date(2027, 1, 31, 18, 0, 0, 0, time.UTC)
	if s := c.Suspend; !s.Active(end.Add(-time.Second)) || s.Active(end) || !s.End().Equal(end) {
		t.Errorf("active until %v", s.End())
	}
	if c, _ := load(head); c.Guards.MaxDeletes.String() != "10 objects and 20 %" || c.Suspend.Active(end) {
		t.Errorf("default %+v", c)
	}
	_, mistakes = load(head + "spec:\n  guards:\n    maxDeletes:\n      objects: -1\n      percent: 101\n  suspend:\n    until: tomorrow\n")
	want := `writ.yaml:6: spec.guards.maxDeletes.objects: -1 is below 0
writ.yaml:7: spec.guards.maxDeletes.percent: 101 must lie within 0-100
writ.yaml:8: spec.suspend.reason: must say why nothing is adopted
writ.yaml:9: spec.suspend.until: "tomorrow" is not a time such as 2027-01-31T18:00:00Z`
	mistakes.Sort()
	if mistakes.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", mistakes.Error(), want)
	}
	if !(&Suspend{Reason: "x"}).Active(end) {
		t.Error("without an end it is not active")
	}
}
