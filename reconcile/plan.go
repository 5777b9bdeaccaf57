package reconcile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"writ/manifest"
	"writ/state"
)

// Plan is what has to become true, as data.
type Plan struct {
	// Batch holds every decision and computed status; it is proposed as one.
	Batch state.Batch
	// Events are told to people once the Batch is true.
	Events []state.Event
	// Wake is when time alone changes the answer; zero means never.
	Wake time.Time
	// Notes say why an object is not acted on, sorted by object.
	Notes []Note
	// Suspended is why nothing of the commit was adopted but this; nil for every other Plan.
	Suspended *manifest.Suspend
	// Wakes and Told are Wake and Notes by key, for keeping them over incremental computations: an
	// entry replaces that of an earlier Plan for a key that was Computed.
	Wakes map[Key]time.Time
	Told  map[Key][]Note

	computed map[Key]int
}

// Note is one line about an object that people should see.
type Note struct {
	Ref   manifest.Ref `json:"ref"`
	Field string       `json:"field,omitempty"` // path of the field that causes it
	What  string       `json:"what"`
}

func (n Note) String() string {
	if n.Field == "" {
		return n.Ref.String() + ": " + n.What
	}
	return n.Ref.String() + ": " + n.Field + ": " + n.What
}

// Empty says that the World has converged.
func (p *Plan) Empty() bool { return p.Batch.Empty() }

func (d *draft) plan() Plan {
	p := Plan{Batch: d.batch(), Events: d.events, Wakes: d.wakes, Told: d.notes, Suspended: d.suspended}
	for _, t := range d.wakes {
		if p.Wake.IsZero() || t.Before(p.Wake) {
			p.Wake = t
		}
	}
	for _, notes := range d.notes {
		p.Notes = append(p.Notes, notes...)
	}
	SortNotes(p.Notes)
	return p
}

// SortNotes orders notes by object, field and text.
func SortNotes(notes []Note) {
	slices.SortFunc(notes, func(a, b Note) int {
		if c := a.Ref.Compare(b.Ref); c != 0 {
			return c
		}
		return strings.Compare(a.Field+"\x00"+a.What, b.Field+"\x00"+b.What)
	})
}

// String has one line a decision: what, the object, the facts, why.
func (p Plan) String() string {
	if p.Empty() && p.Suspended == nil && len(p.Events) == 0 && len(p.Notes) == 0 && p.Wake.IsZero() {
		return "nothing to do\n"
	}
	var b strings.Builder
	if p.Suspended != nil {
		fmt.Fprintf(&b, "suspended: %s\n", p.Suspended)
	} else if a := p.Batch.Adopt; a != nil {
		fmt.Fprintf(&b, "adopt %.7s %q\n", a.Commit, a.Subject)
	}
	for i := range p.Batch.Deletes {
		d := &p.Batch.Deletes[i]
		fmt.Fprintf(&b, "delete %s (%s)\n", d.Ref, d.Why)
	}
	for i := range p.Batch.Puts {
		put := &p.Batch.Puts[i]
		fmt.Fprintf(&b, "put %s%s", put.Ref, facts(put))
		if put.Why != "" {
			fmt.Fprintf(&b, " (%s)", put.Why)
		}
		b.WriteByte('\n')
	}
	for _, e := range p.Events {
		fmt.Fprintf(&b, "event %s %s %s: %s\n", e.Type, e.Ref, e.Reason, e.Message)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note %s\n", n)
	}
	if !p.Wake.IsZero() {
		fmt.Fprintf(&b, "wake %s\n", p.Wake.UTC().Format(time.RFC3339))
	}
	return b.String()
}

// MarshalJSON is the Plan for machines.
func (p Plan) MarshalJSON() ([]byte, error) {
	type put struct {
		Ref   manifest.Ref `json:"ref"`
		Facts []string     `json:"facts"`
		Why   string       `json:"why,omitempty"`
	}
	type del struct {
		Ref manifest.Ref `json:"ref"`
		Why string       `json:"why,omitempty"`
	}
	out := struct {
		Suspend *manifest.Suspend `json:"suspended,omitempty"`
		Adopt   *state.Adoption   `json:"adopt,omitempty"`
		Deletes []del             `json:"deletes,omitempty"`
		Puts    []put             `json:"puts,omitempty"`
		Events  []state.Event     `json:"events,omitempty"`
		Notes   []Note            `json:"notes,omitempty"`
		Wake    *time.Time        `json:"wake,omitempty"`
	}{Suspend: p.Suspended, Adopt: p.Batch.Adopt, Events: p.Events, Notes: p.Notes}
	for _, d := range p.Batch.Deletes {
		out.Deletes = append(out.Deletes, del{d.Ref, d.Why})
	}
	for i := range p.Batch.Puts {
		out.Puts = append(out.Puts, put{p.Batch.Puts[i].Ref, strings.Fields(facts(&p.Batch.Puts[i])), p.Batch.Puts[i].Why})
	}
	if !p.Wake.IsZero() {
		out.Wake = &p.Wake
	}
	return json.Marshal(out)
}
