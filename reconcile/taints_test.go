package reconcile

import (
	"math"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestToleratedUntil(t *testing.T) {
	bound := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	added := metav1.NewTime(bound.Add(time.Hour))
	earlier := metav1.NewTime(bound.Add(-time.Hour))
	tolerates := func(key string, seconds int64) corev1.Toleration {
		s := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
		if seconds != math.MinInt64 {
			s.TolerationSeconds = &seconds
		}
		return s
	}
	const always = math.MinInt64
	for _, tt := range []struct {
		name  string
		added *metav1.Time
		list  []corev1.Toleration
		until time.Time // zero: without end
		none  bool      // it is not tolerated
	}{
		{name: "nothing", none: true},
		{name: "another key", list: []corev1.Toleration{tolerates("other", always)}, none: true},
		{name: "without end", added: &added, list: []corev1.Toleration{tolerates("k", always)}},
		{name: "since the taint came", added: &added, list: []corev1.Toleration{tolerates("k", 60)}, until: added.Add(time.Minute)},
		{name: "since the pod came", added: &earlier, list: []corev1.Toleration{tolerates("k", 60)}, until: bound.Add(time.Minute)},
		{name: "nobody knows since when", list: []corev1.Toleration{tolerates("k", 60)}, until: bound.Add(time.Minute)},
		{name: "not at all", added: &added, list: []corev1.Toleration{tolerates("k", 0)}, until: added.Time},
		{name: "less than not at all", added: &added, list: []corev1.Toleration{tolerates("k", -60)}, until: added.Time},
		{name: "the first that matches: for a while", list: []corev1.Toleration{tolerates("other", 1), tolerates("k", 60), tolerates("", always)}, until: bound.Add(time.Minute)},
		{name: "the first that matches: without end", list: []corev1.Toleration{tolerates("", always), tolerates("k", 60)}},
	} {
		taint := corev1.Taint{Key: "k", Effect: corev1.TaintEffectNoExecute, TimeAdded: tt.added}
		until, tolerated := toleratedUntil(&taint, tt.list, bound)
		if !until.Equal(tt.until) || tolerated == tt.none {
			t.Errorf("%s: until %s, %t, want %s, %t", tt.name, until, tolerated, tt.until, !tt.none)
		}
	}
	taint := corev1.Taint{Key: "k", Effect: corev1.TaintEffectNoExecute}
	if until, _ := toleratedUntil(&taint, []corev1.Toleration{tolerates("k", math.MaxInt64)}, bound); !until.After(bound.AddDate(100, 0, 0)) {
		t.Errorf("as long as can be said: until %s", until)
	}
}
