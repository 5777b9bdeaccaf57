package reconcile

import (
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"

	"writ/manifest"
)

// timetable is when a CronJob runs. Its times are whole seconds, in UTC.
type timetable struct{ schedule cron.Schedule }

func timetableOf(c *batchv1.CronJob) (timetable, error) {
	s, err := manifest.CronSchedule(c)
	return timetable{s}, err
}

// next is the first time after t, zero if none comes. Of "@every" t is a time at which it was due.
func (x timetable) next(t time.Time) time.Time {
	n := x.schedule.Next(t.UTC())
	if n.IsZero() {
		return n
	}
	return n.UTC()
}

// last is the latest time after since that is not after now, zero if there is none. It costs the same
// however long the span is.
func (x timetable) last(since, now time.Time) time.Time {
	if every, ok := x.schedule.(cron.ConstantDelaySchedule); ok {
		since = since.Truncate(time.Second)
		if span := now.Sub(since); span >= every.Delay {
			return since.Add(span / every.Delay * every.Delay).UTC()
		}
		return time.Time{}
	}
	comes := func(after time.Time) bool {
		n := x.next(after)
		return !n.IsZero() && !n.After(now)
	}
	if !comes(since) {
		return time.Time{}
	}
	low, high := since.Unix(), now.Unix() // a time comes after low, none after high
	for high-low > 1 {
		if middle := low + (high-low)/2; comes(time.Unix(middle, 0)) {
			low = middle
		} else {
			high = middle
		}
	}
	return x.next(time.Unix(low, 0))
}

// many says that there are more than n times after since up to now.
func (x timetable) many(since, now time.Time, n int) bool {
	for range n + 1 {
		since = x.next(since)
		if since.IsZero() || since.After(now) {
			return false
		}
	}
	return true
}

// after is the first time after now, and after since, which may be ahead of the clock; due is the latest up to now.
func (x timetable) after(since, due, now time.Time) time.Time {
	_, every := x.schedule.(cron.ConstantDelaySchedule)
	switch {
	case every && !due.IsZero():
		return x.next(due)
	case every || since.After(now):
		return x.next(since)
	}
	return x.next(now)
}
