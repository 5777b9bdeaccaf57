package manifest

import (
	"fmt"
	"strings"
	"time"
)

// Guards keep a commit from deleting by accident.
type Guards struct {
	// MaxDeletes is how much a commit may delete without saying so.
	MaxDeletes MaxDeletes `json:"maxDeletes,omitzero"`
}

// MaxDeletes limits what a commit deletes without saying so. Where both limits are written a commit has
// to exceed both to be held, where one is written only that one. Where none is: 10 objects and 20 %.
type MaxDeletes struct {
	// Objects is a number of objects.
	Objects *int `json:"objects,omitempty"`
	// Percent is a part of the objects that the cluster has, in percent.
	Percent *int `json:"percent,omitempty"`
}

// What MaxDeletes is where it is not written.
const (
	maxDeletedObjects = 10
	maxDeletedPercent = 20
)

// fill sets the limits where none is written.
func (m *MaxDeletes) fill() {
	if m.Objects == nil && m.Percent == nil {
		objects, percent := maxDeletedObjects, maxDeletedPercent
		m.Objects, m.Percent = &objects, &percent
	}
}

// Exceeded says that deleting n of all objects is more than a commit may without saying so.
func (m MaxDeletes) Exceeded(n, all int) bool {
	m.fill()
	return (m.Objects == nil || n > *m.Objects) && (m.Percent == nil || n*100 > all**m.Percent)
}

// String is the limits as people read them.
func (m MaxDeletes) String() string {
	m.fill()
	var parts []string
	if m.Objects != nil {
		parts = append(parts, fmt.Sprintf("%d objects", *m.Objects))
	}
	if m.Percent != nil {
		parts = append(parts, fmt.Sprintf("%d %%", *m.Percent))
	}
	return strings.Join(parts, " and ")
}

func (m MaxDeletes) validate() []problem {
	var problems []problem
	if m.Objects != nil && *m.Objects < 0 {
		problems = append(problems, problem{"spec.guards.maxDeletes.objects", fmt.Sprintf("%d is below 0", *m.Objects)})
	}
	if m.Percent != nil && (*m.Percent < 0 || *m.Percent > 100) {
		problems = append(problems, problem{"spec.guards.maxDeletes.percent", fmt.Sprintf("%d must lie within 0-100", *m.Percent)})
	}
	return problems
}

// Suspend pauses adopting: while it is in the newest commit, nothing else of that commit is adopted.
type Suspend struct {
	// Reason is told to people; it has to be given.
	Reason string `json:"reason"`
	// Until, in RFC 3339, is when adopting goes on by itself; empty means not before a commit without suspend.
	Until string `json:"until,omitempty"`
}

// Active says that adopting is suspended at a time. A nil Suspend never is.
func (s *Suspend) Active(now time.Time) bool {
	if s == nil {
		return false
	}
	until := s.End()
	return until.IsZero() || now.Before(until)
}

// End is when the suspension ends by itself; zero means never.
func (s *Suspend) End() time.Time {
	t, err := time.Parse(time.RFC3339, s.Until)
	if err != nil {
		return time.Time{}
	}
	return t
}

// String is the reason and the end as people read them.
func (s *Suspend) String() string {
	if s.Until == "" {
		return s.Reason
	}
	return s.Reason + " (until " + s.Until + ")"
}

func (s *Suspend) validate() []problem {
	if s == nil {
		return nil
	}
	var problems []problem
	if strings.TrimSpace(s.Reason) == "" {
		problems = append(problems, problem{"spec.suspend.reason", "must say why nothing is adopted"})
	}
	if _, err := time.Parse(time.RFC3339, s.Until); s.Until != "" && err != nil {
		problems = append(problems, problem{"spec.suspend.until", fmt.Sprintf("%q is not a time such as 2027-01-31T18:00:00Z", s.Until)})
	}
	return problems
}
