package control

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"

	"writ/state"
)

// completions is how many parts of a Job are done, as kubectl shows them: of a work queue one is enough, by one of its
// workers.
func completions(r *state.Record, j *batchv1.Job) string {
	done := int32(0)
	if s, ok := r.Status.(*batchv1.JobStatus); ok {
		done = s.Succeeded
	}
	switch p := j.Spec.Parallelism; {
	case j.Spec.Completions != nil:
		return fmt.Sprintf("%d/%d completed", done, *j.Spec.Completions)
	case p != nil && *p > 1:
		return fmt.Sprintf("%d/1 of %d completed", done, *p)
	}
	return fmt.Sprintf("%d/1 completed", done)
}
