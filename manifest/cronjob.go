package manifest

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a machine may have no data of time zones

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

func cronJobTemplate(obj Object) *corev1.PodTemplateSpec {
	return &obj.(*batchv1.CronJob).Spec.JobTemplate.Spec.Template
}

// CronSchedule is when a CronJob runs, by upstream's own reading of cron lines. Without spec.timeZone it
// is Coordinated Universal Time.
func CronSchedule(c *batchv1.CronJob) (cron.Schedule, error) {
	if strings.Contains(c.Spec.Schedule, "TZ") { // refused by the rules; cron itself may panic on it
		return nil, fmt.Errorf("schedule %q: TZ and CRON_TZ are not supported", c.Spec.Schedule)
	}
	s, err := cron.ParseStandard(c.Spec.Schedule)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w", c.Spec.Schedule, err)
	}
	line, ok := s.(*cron.SpecSchedule)
	if !ok {
		return s, nil
	}
	line.Location, err = CronZone(c)
	return line, err
}

// CronZone is the time zone of a CronJob's schedule.
func CronZone(c *batchv1.CronJob) (*time.Location, error) {
	if c.Spec.TimeZone == nil {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(*c.Spec.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: %w", *c.Spec.TimeZone, err)
	}
	return zone, nil
}

// cronFlaws adds a schedule of which no time ever comes.
func (n *needs) cronFlaws(c *batchv1.CronJob) {
	anywhere := *c
	anywhere.Spec.TimeZone = nil // an unknown one is a mistake of its own
	s, err := CronSchedule(&anywhere)
	if err != nil {
		return // said by the rules
	}
	// The years from a leap year on, the longest that cron looks ahead; in every zone they have the same days.
	if s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		n.flaw("spec.schedule", fmt.Sprintf("Invalid value: %q: no such time ever comes: the job would never run", c.Spec.Schedule))
	}
}
