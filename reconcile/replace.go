package reconcile

import (
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"writ/manifest"
	"writ/state"
)

// replace makes an object new that cannot become what put says, if its author allows it; mistakes say
// why it cannot. A Job that has ended needs no leave: it does nothing any more.
func (f *difference) replace(r *state.Record, put state.Put, mistakes []string) []string {
	how := put.Object.GetAnnotations()[manifest.OnImmutableChangeAnnotation]
	switch {
	case ended(r):
		put.Why = "made again: the one before has ended"
	case how == manifest.Recreate:
		f.replaced = append(f.replaced, r.Ref)
		put.Why = "made again: " + mistakes[0]
	case how == manifest.Orphan:
		f.replaced = append(f.replaced, r.Ref)
		f.orphaned = append(f.orphaned, r)
		put.Why = "made again, leaving behind what it made: " + mistakes[0]
	default:
		what := "recreate makes the object new"
		if r.Claim() != nil {
			what += ", with another volume"
		}
		for i := range mistakes {
			first, rest, more := strings.Cut(mistakes[i], "\n")
			if mistakes[i] = first + " (annotation " + manifest.OnImmutableChangeAnnotation + ": " + what + ")"; more {
				mistakes[i] += "\n" + rest
			}
		}
		return mistakes
	}
	switch {
	case r.Ref.Kind == "Pod" && r.Ref.Group == "":
		f.ended = append(f.ended, r) // with its grace; then the new one is made
		return nil
	case lingers(r.Ref): // until nothing uses it any more
		f.going = append(f.going, r)
		return nil
	}
	f.again = append(f.again, r)
	f.puts = append(f.puts, put)
	return nil
}

// ended says that an object has done all that it ever will.
func ended(r *state.Record) bool {
	s, ok := r.Status.(*batchv1.JobStatus)
	return ok && slices.ContainsFunc(s.Conditions, func(c batchv1.JobCondition) bool {
		return (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue
	})
}

// orphan takes an object's name off all that it made, so that it outlives the object.
func (d *draft) orphan(r *state.Record) {
	for o := range d.w.Owned(r.UID) {
		d.disown(o, r, "left behind by "+r.Ref.String())
	}
}
