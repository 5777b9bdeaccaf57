package autoscaler

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

var scaledAt = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// measuredPods makes Pods that request a whole core, in a word each: what it uses in thousandths, "-" for no sample, and
// how it is: "ready" (for long), "unready", "hot" (ready since less than a window), "pending", "failed", "going".
func measuredPods(words ...string) (pods []*state.Record, samples map[string]state.Sample) {
	samples = map[string]state.Sample{}
	for i, word := range words {
		var use, how string
		if _, err := fmt.Sscanf(word, "%s %s", &use, &how); err != nil {
			panic(err)
		}
		name := fmt.Sprintf("p%d", i)
		start, since := metav1.NewTime(scaledAt.Add(-time.Hour)), metav1.NewTime(scaledAt.Add(-time.Hour))
		s := &corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &start}
		ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: since}
		r := &state.Record{Ref: manifest.PodRef("default", name), Status: s}
		switch how {
		case "unready":
			ready.Status = corev1.ConditionFalse
		case "hot":
			start.Time = scaledAt.Add(-time.Minute)
			ready.LastTransitionTime.Time = scaledAt.Add(-20 * time.Second)
		case "pending":
			s.Phase = corev1.PodPending
		case "failed":
			s.Phase = corev1.PodFailed
		case "going":
			r.Deletion = &state.Deletion{}
		}
		s.Conditions = []corev1.PodCondition{ready}
		r.Object = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}},
		}}}}
		pods = append(pods, r)
		var n int64
		if _, err := fmt.Sscan(use, &n); err == nil {
			samples[name] = state.Sample{Pod: name, Value: n, At: scaledAt, Window: time.Minute}
		}
	}
	return pods, samples
}

// The cases of upstream's own table (replica_calculator_test.go), by hand.
func TestCalculator_Utilization(t *testing.T) {
	for _, tt := range []struct {
		name          string
		current       int32
		target        int32
		pods          []string
		want, percent int32
		err           string
	}{
		{"up", 3, 30, []string{"300 ready", "500 ready", "700 ready"}, 5, 50, ""},
		{"up less for an unready pod", 3, 30, []string{"300 unready", "500 ready", "700 ready"}, 4, 60, ""},
		{"up less for a hot pod", 3, 30, []string{"300 hot", "500 ready", "700 ready"}, 4, 60, ""},
		{"not up for unready pods", 3, 30, []string{"400 ready", "500 unready", "700 unready"}, 3, 40, ""},
		{"a failed pod is ignored", 2, 30, []string{"500 ready", "700 ready", "900 failed"}, 4, 60, ""},
		{"one that goes is ignored", 2, 30, []string{"500 ready", "700 ready", "900 going"}, 4, 60, ""},
		{"a pending pod counts as idle", 3, 30, []string{"500 ready", "700 ready", "- pending"}, 4, 60, ""},
		{"down", 5, 50, []string{"100 ready", "300 ready", "500 ready", "250 ready", "250 ready"}, 3, 28, ""},
		{"unready pods do not hold up going down", 5, 50, []string{"100 ready", "300 ready", "500 ready", "250 unready", "250 unready"}, 2, 30, ""},
		{"within the tolerance", 3, 100, []string{"1010 ready", "1030 ready", "1020 ready"}, 3, 102, ""},
		{"one missing at the target", 2, 100, []string{"1000 ready", "- ready"}, 2, 100, ""},
		{"one missing, above the target", 2, 100, []string{"1900 ready", "- ready"}, 2, 190, ""},
		{"one missing, below the target", 2, 100, []string{"600 ready", "- ready"}, 2, 60, ""},
		{"none measured", 2, 100, []string{"- ready", "- ready"}, 0, 0, "did not receive metrics for targeted pods (pods might be unready)"},
		{"no pods", 2, 100, nil, 0, 0, "no pods returned by selector while calculating replica count"},
	} {
		pods, samples := measuredPods(tt.pods...)
		x := &scaler{Input: Input{Now: scaledAt}, hpa: &autoscalingv2.HorizontalPodAutoscaler{}, current: tt.current, pods: pods}
		n, percent, _, err := x.calculator(samples, corev1.ResourceCPU, "").utilization(tt.target)
		if text := fmt.Sprint(err); n != tt.want || percent != tt.percent || (err != nil || tt.err != "") && text != tt.err {
			t.Errorf("%s: %d at %d %%, %v; want %d at %d %%, %s", tt.name, n, percent, err, tt.want, tt.percent, tt.err)
		}
	}
}

func TestCalculator_Average(t *testing.T) {
	for _, tt := range []struct {
		name    string
		current int32
		target  int64
		pods    []string
		want    int32
		usage   int64
	}{
		{"up", 3, 15000, []string{"20000 ready", "10000 ready", "30000 ready"}, 4, 20000},
		{"an unready pod counts, as it is no CPU", 3, 15000, []string{"50000 ready", "10000 unready", "30000 ready"}, 6, 30000},
		{"down", 5, 20000, []string{"12000 ready", "12000 ready", "12000 ready", "12000 ready", "12000 ready"}, 3, 12000},
		{"missing ones use their target on the way down", 5, 20000, []string{"12000 ready", "12000 ready", "12000 ready", "- ready", "- ready"}, 4, 12000},
		{"missing ones use nothing on the way up", 2, 20000, []string{"50000 ready", "- ready"}, 3, 50000},
	} {
		pods, samples := measuredPods(tt.pods...)
		x := &scaler{Input: Input{Now: scaledAt}, hpa: &autoscalingv2.HorizontalPodAutoscaler{}, current: tt.current, pods: pods}
		n, usage, err := x.calculator(samples, "", "").average(tt.target)
		if err != nil || n != tt.want || usage != tt.usage {
			t.Errorf("%s: %d at %d, %v; want %d at %d", tt.name, n, usage, err, tt.want, tt.usage)
		}
	}
}

func TestRequested(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	container := func(name, cpu string) corev1.Container {
		c := corev1.Container{Name: name}
		if cpu != "" {
			c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
		}
		return c
	}
	side := container("side", "50m")
	side.RestartPolicy = &always
	pod := func(containers ...corev1.Container) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{Containers: containers, InitContainers: []corev1.Container{container("init", "5"), side}}}
	}
	whole := pod(container("a", ""))
	whole.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}}
	for _, tt := range []struct {
		name, container string
		pod             *corev1.Pod
		want            int64
		err             string
	}{
		{"all, and what runs beside them", "", pod(container("a", "100m"), container("b", "1")), 1150, ""},
		{"one", "b", pod(container("a", ""), container("b", "1")), 1000, ""},
		{"a sidecar", "side", pod(container("a", "")), 50, ""},
		{"one without", "", pod(container("a", "1"), container("b", "")), 0, "missing request for cpu in container b of Pod p"},
		{"none of the name", "x", pod(container("a", "1")), 0, "container x not found in Pod p"},
		{"of the pod", "", whole, 2000, ""},
	} {
		n, err := requested(tt.pod, tt.container, corev1.ResourceCPU)
		if err == nil && n != tt.want || err != nil && err.Error() != tt.err || err == nil && tt.err != "" {
			t.Errorf("%s: %d, %v; want %d, %s", tt.name, n, err, tt.want, tt.err)
		}
	}
}

// A metric of the whole: by its ratio to the target among the ready Pods, or by its share of each.
func TestAutoscaler_Whole(t *testing.T) {
	pods, _ := measuredPods("- ready", "- ready", "- unready")
	x := &scaler{Input: Input{Now: scaledAt}, hpa: &autoscalingv2.HorizontalPodAutoscaler{}, current: 3, pods: pods,
		Decision: Decision{Target: &state.Record{Object: &appsv1.Deployment{}, Status: &appsv1.DeploymentStatus{Replicas: 3}}}}
	for _, tt := range []struct {
		usage, target int64
		ratio, each   int32
		share         int64
	}{
		{20000, 10000, 4, 2, 6667}, {10500, 10000, 3, 2, 3500}, {30000, 10000, 6, 3, 10000}, {1000, 10000, 1, 1, 334}, {0, 10000, 0, 0, 0},
		{1 << 62, 1, 1<<31 - 1, 1<<31 - 1, 1537228672809129302},
	} {
		n, err := x.byRatio(tt.usage, tt.target)
		if err != nil || n != tt.ratio {
			t.Errorf("%d of %d: %d, %v; want %d", tt.usage, tt.target, n, err, tt.ratio)
		}
		n, share := x.perReplica(tt.usage, tt.target)
		if n != tt.each || share-tt.share > 1<<10 || tt.share-share > 1<<10 {
			t.Errorf("%d at %d each: %d with %d; want %d with %d", tt.usage, tt.target, n, share, tt.each, tt.share)
		}
	}
}

// The examples of Kubernetes' page on scaling behavior, and its defaults.
func TestAutoscaler_Limits(t *testing.T) {
	policy := func(kind autoscalingv2.HPAScalingPolicyType, value, period int32) autoscalingv2.HPAScalingPolicy {
		return autoscalingv2.HPAScalingPolicy{Type: kind, Value: value, PeriodSeconds: period}
	}
	rule := func(window int32, choice autoscalingv2.ScalingPolicySelect, policies ...autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
		return &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &window, SelectPolicy: &choice, Policies: policies}
	}
	pods, percent := autoscalingv2.PodsScalingPolicy, autoscalingv2.PercentScalingPolicy
	ago := func(seconds int, n int32) []state.Resized {
		return []state.Resized{{Replicas: n, At: scaledAt.Add(-time.Duration(seconds) * time.Second)}}
	}
	open := rule(0, "Max", policy(percent, 10000, 15))
	closed := rule(0, "Max", policy(percent, 100, 15))
	for _, tt := range []struct {
		name            string
		up, down        *autoscalingv2.HPAScalingRules // both nil: no behavior
		memory          state.Scaling
		current, wanted int32
		want            int32
		reason          string
	}{
		{"no behavior: at most twice", nil, nil, state.Scaling{}, 10, 50, 20, "ScaleUpLimit"},
		{"no behavior: or to four", nil, nil, state.Scaling{}, 1, 50, 4, "ScaleUpLimit"},
		{"no behavior: at most the maximum", nil, nil, state.Scaling{}, 80, 150, 100, "TooManyReplicas"},
		{"no behavior: at least the minimum", nil, nil, state.Scaling{}, 10, 0, 2, "TooFewReplicas"},
		{"no behavior: five minutes", nil, nil, state.Scaling{Recommended: ago(299, 8)}, 10, 3, 8, "DesiredWithinRange"},
		{"no behavior: five minutes are over", nil, nil, state.Scaling{Recommended: ago(301, 8)}, 10, 3, 3, "DesiredWithinRange"},
		{"one pod a minute", rule(0, "Max", policy(pods, 1, 60)), closed, state.Scaling{}, 3, 10, 4, "ScaleUpLimit"},
		{"one pod a minute, which was", rule(0, "Max", policy(pods, 1, 60)), closed, state.Scaling{Up: ago(30, 1)}, 3, 10, 3, "ScaleUpLimit"},
		{"one pod a minute, which is over", rule(0, "Max", policy(pods, 1, 60)), closed, state.Scaling{Up: ago(60, 1)}, 3, 10, 4, "ScaleUpLimit"},
		{"the larger of two", rule(0, "Max", policy(pods, 4, 15), policy(percent, 100, 15)), closed, state.Scaling{}, 3, 50, 7, "ScaleUpLimit"},
		{"the smaller of two", rule(0, "Min", policy(pods, 4, 15), policy(percent, 100, 15)), closed, state.Scaling{}, 3, 50, 6, "ScaleUpLimit"},
		{"a part of a pod is a pod", rule(0, "Max", policy(percent, 10, 15)), closed, state.Scaling{}, 3, 50, 4, "ScaleUpLimit"},
		{"not up", rule(0, "Disabled", policy(pods, 4, 15)), closed, state.Scaling{}, 3, 50, 3, "ScaleUpLimit"},
		{"up only as low as lately", rule(60, "Max", policy(percent, 10000, 15)), closed, state.Scaling{Recommended: ago(59, 4)}, 3, 9, 4, "DesiredWithinRange"},
		{"down a tenth", open, rule(0, "Max", policy(percent, 10, 60)), state.Scaling{}, 80, 10, 72, "ScaleDownLimit"},
		{"down a tenth of what was", open, rule(0, "Max", policy(percent, 10, 60)), state.Scaling{Down: ago(30, 5)}, 75, 10, 72, "ScaleDownLimit"},
		{"the larger way down", open, rule(0, "Max", policy(percent, 10, 60), policy(pods, 5, 60)), state.Scaling{}, 20, 2, 15, "ScaleDownLimit"},
		{"the smaller way down", open, rule(0, "Min", policy(percent, 10, 60), policy(pods, 5, 60)), state.Scaling{}, 20, 2, 18, "ScaleDownLimit"},
		{"not down", open, rule(0, "Disabled", policy(pods, 5, 60)), state.Scaling{}, 20, 2, 20, "ScaleDownLimit"},
		{"down only as high as lately", open, rule(60, "Max", policy(percent, 100, 15)), state.Scaling{Recommended: ago(59, 9)}, 12, 3, 9, "DesiredWithinRange"},
		{"down at once", open, closed, state.Scaling{Recommended: ago(1, 9)}, 12, 3, 3, "DesiredWithinRange"},
	} {
		least := int32(2)
		hpa := &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MinReplicas: &least, MaxReplicas: 100}}
		x := &scaler{Input: Input{Now: scaledAt}, hpa: hpa, current: tt.current, Decision: Decision{Scaling: tt.memory, Status: &autoscalingv2.HorizontalPodAutoscalerStatus{}}}
		var n int32
		if tt.up == nil {
			n = x.limit(tt.wanted)
		} else {
			hpa.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: tt.up, ScaleDown: tt.down}
			n = x.behave(tt.wanted)
		}
		if reason := Condition(x.Status, autoscalingv2.ScalingLimited).Reason; n != tt.want || reason != tt.reason {
			t.Errorf("%s: %d because of %s; want %d because of %s", tt.name, n, reason, tt.want, tt.reason)
		}
	}
}
