package reconcile

import (
	"math/rand/v2"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
)

func tableOf(t *testing.T, schedule, zone string) timetable {
	t.Helper()
	c := &batchv1.CronJob{Spec: batchv1.CronJobSpec{Schedule: schedule}}
	if zone != "" {
		c.Spec.TimeZone = &zone
	}
	table, err := timetableOf(c)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// An hour that there is not, in spring, has no run; one that there is twice, in autumn, has two, as with Kubernetes.
func TestTimetable_Next(t *testing.T) {
	for _, test := range []struct{ name, schedule, zone, from, want string }{
		{"without a zone", "0 2 * * *", "", "2026-03-08T00:00:00Z", "2026-03-08T02:00:00Z"},
		{"macro", "@daily", "Asia/Kolkata", "2026-03-08T00:00:00Z", "2026-03-08T18:30:00Z"},
		{"every", "@every 90m", "", "2026-03-08T00:10:00Z", "2026-03-08T01:40:00Z"},
		{"the hour that is left out", "30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T06:30:00Z"},
		{"after it", "0 3 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-08T07:00:00Z"},
		{"the hour that comes twice", "30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-01T05:30:00Z"},
		{"the second time", "30 1 * * *", "America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"},
		{"and then the next day", "30 1 * * *", "America/New_York", "2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"},
		{"a leap day", "0 0 29 2 *", "", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := tableOf(t, test.schedule, test.zone).next(at(t, test.from)); !got.Equal(at(t, test.want)) {
				t.Errorf("next of %q in %q after %s: got %s, want %s", test.schedule, test.zone, test.from, got.Format(time.RFC3339), test.want)
			}
		})
	}
}

// The latest time up to now is that which is found by going from time to time.
func TestTimetable_LastIsTheLastOfAll(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, test := range []struct{ schedule, zone string }{
		{"* * * * *", ""}, {"*/7 3-5 * * 1-5", "Europe/Berlin"}, {"30 2 * * *", "America/New_York"}, {"30 1 * * *", "Australia/Lord_Howe"},
		{"0 0 1 * *", "America/Sao_Paulo"}, {"15 */5 13 * 5", "Asia/Kolkata"}, {"@every 37m", ""}, {"@weekly", "Pacific/Apia"},
	} {
		table := tableOf(t, test.schedule, test.zone)
		for range 60 {
			since := time.Unix(1_760_000_000+r.Int64N(40_000_000), 0)
			now := since.Add(time.Duration(r.Int64N(int64(40 * 24 * time.Hour))))
			var want time.Time
			n := 0
			for next := table.next(since); !next.After(now); next = table.next(next) {
				want = next
				n++
			}
			if got := table.last(since, now); !got.Equal(want) {
				t.Errorf("last of %q in %q from %s to %s: got %s, want %s", test.schedule, test.zone, since, now, got, want)
			}
			if n > 0 && table.many(since, now, n) || n > 0 && !table.many(since, now, n-1) {
				t.Errorf("%q in %q from %s to %s has %d times; many says otherwise", test.schedule, test.zone, since, now, n)
			}
			if next := table.after(since, want, now); !next.After(now) || !table.last(since, next).Equal(next) {
				t.Errorf("%q in %q: after %s comes %s", test.schedule, test.zone, now, next)
			}
		}
	}
}
