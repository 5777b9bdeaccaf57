package reconcile

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// A Job that has ended is made again for another template without anybody's leave, and does not count as
// deleted; one that runs needs it.
func TestReplace(t *testing.T) {
	ref := manifest.Ref{Group: "batch", Kind: "Job", Namespace: "default", Name: "migrate"}
	const immutable = "spec.template: field is immutable"
	for _, tt := range []struct {
		condition batchv1.JobConditionType
		status    corev1.ConditionStatus
		how       string
		again     string // why it is made again; empty if it is a mistake
		counts    bool   // as deleted
	}{
		{batchv1.JobComplete, corev1.ConditionTrue, "", "made again: the one before has ended", false},
		{batchv1.JobFailed, corev1.ConditionTrue, "", "made again: the one before has ended", false},
		{batchv1.JobFailed, corev1.ConditionFalse, "", "", false},
		{batchv1.JobSuspended, corev1.ConditionTrue, "", "", false},
		{batchv1.JobSuspended, corev1.ConditionTrue, manifest.Recreate, "made again: " + immutable, true},
		{batchv1.JobSuspended, corev1.ConditionTrue, manifest.Orphan, "made again, leaving behind what it made: " + immutable, true},
	} {
		r := &state.Record{Ref: ref, Origin: state.Authored, Object: &batchv1.Job{},
			Status: &batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: tt.condition, Status: tt.status}}}}
		object := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "migrate"}}
		if tt.how != "" {
			object.Annotations = map[string]string{manifest.OnImmutableChangeAnnotation: tt.how}
		}
		f := &difference{}
		mistakes := f.replace(r, state.Put{Ref: ref, Object: object}, []string{immutable})
		if tt.again == "" {
			if len(mistakes) != 1 || !strings.Contains(mistakes[0], "recreate makes the object new") || !f.empty() {
				t.Errorf("%s=%s %q: mistakes %q, want what to do", tt.condition, tt.status, tt.how, mistakes)
			}
			continue
		}
		if len(mistakes) > 0 || len(f.again) != 1 || len(f.puts) != 1 || f.puts[0].Why != tt.again || (len(f.replaced) == 1) != tt.counts {
			t.Errorf("%s=%s %q: mistakes %q, difference %+v, want %q", tt.condition, tt.status, tt.how, mistakes, f, tt.again)
		}
		if (len(f.orphaned) == 1) != (tt.how == manifest.Orphan) {
			t.Errorf("%q: %d left behind", tt.how, len(f.orphaned))
		}
	}
}
