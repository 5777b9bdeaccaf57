package autoscaler

import (
	"errors"
	"fmt"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcehelpers "k8s.io/component-helpers/resource"

	"writ/state"
)

// Upstream's settings of its controller manager.
const (
	cpuInitialization = 5 * time.Minute  // --horizontal-pod-autoscaler-cpu-initialization-period
	initialReadiness  = 30 * time.Second // --horizontal-pod-autoscaler-initial-readiness-delay
	tolerance         = 0.1              // --horizontal-pod-autoscaler-tolerance
)

// within says that a ratio of usage to target is too close to one to do anything about.
func (x *scaler) within(ratio float64) bool {
	up, down := tolerance, tolerance
	if b := x.hpa.Spec.Behavior; b != nil {
		if b.ScaleUp != nil && b.ScaleUp.Tolerance != nil {
			up = b.ScaleUp.Tolerance.AsApproximateFloat64()
		}
		if b.ScaleDown != nil && b.ScaleDown.Tolerance != nil {
			down = b.ScaleDown.Tolerance.AsApproximateFloat64()
		}
	}
	return 1-down <= ratio && ratio <= 1+up
}

// calculator computes a size from samples of Pods: upstream's rules for Pods that are not ready and for samples that
// are missing.
type calculator struct {
	x                *scaler
	samples          map[string]int64 // by Pod; of those that count
	resource         corev1.ResourceName
	container        string
	ready            int32
	unready, missing []string
}

func (x *scaler) calculator(samples map[string]state.Sample, resource corev1.ResourceName, container string) *calculator {
	c := &calculator{x: x, samples: map[string]int64{}, resource: resource, container: container}
	known := map[string]bool{}
	for _, r := range x.pods {
		name := r.Ref.Name
		known[name] = true
		sample, measured := samples[name]
		s := r.PodStatus()
		switch {
		case r.Deletion != nil || s.Phase == corev1.PodFailed:
		case s.Phase == corev1.PodPending:
			c.unready = append(c.unready, name)
		case !measured:
			c.missing = append(c.missing, name)
		case resource == corev1.ResourceCPU && x.starting(s, &sample):
			c.unready = append(c.unready, name)
		default:
			c.ready++
			c.samples[name] = sample.Value
		}
	}
	for name, sample := range samples { // of Pods that are gone meanwhile
		if !known[name] {
			c.samples[name] = sample.Value
		}
	}
	return c
}

// starting says that a Pod's CPU does not count: while it starts it may use more than it ever will again.
func (x *scaler) starting(s *corev1.PodStatus, sample *state.Sample) bool {
	ready := state.PodCondition(s, corev1.PodReady)
	if ready == nil || s.StartTime == nil {
		return true
	}
	is, since := ready.Status != corev1.ConditionFalse, ready.LastTransitionTime.Time
	if s.StartTime.Add(cpuInitialization).After(x.Now) {
		return !is || sample.At.Before(since.Add(sample.Window))
	}
	return !is && s.StartTime.Add(initialReadiness).After(since)
}

// check is upstream's complaint where nothing is left to compute with.
func (c *calculator) check() error {
	if len(c.x.pods) == 0 {
		return errors.New("no pods returned by selector while calculating replica count")
	}
	if len(c.samples) == 0 {
		return errors.New("did not receive metrics for targeted pods (pods might be unready)")
	}
	return nil
}

// average is the size at which each Pod uses about as much as the target says, in thousandths.
func (c *calculator) average(target int64) (n int32, usage int64, err error) {
	if err := c.check(); err != nil {
		return 0, 0, err
	}
	ratio := func() (float64, error) {
		sum := int64(0)
		for _, v := range c.samples {
			sum += v
		}
		usage = sum / int64(len(c.samples))
		return float64(usage) / float64(target), nil
	}
	first, _ := ratio()
	shown := usage
	n, err = c.size(first, ratio, func(string) int64 { return target })
	return n, shown, err
}

// utilization is the size at which the Pods use about that many percent of what they request.
func (c *calculator) utilization(target int32) (n, percent int32, usage int64, err error) {
	if err := c.check(); err != nil {
		return 0, 0, 0, err
	}
	requests, err := c.requests()
	if err != nil {
		return 0, 0, 0, err
	}
	ratio := func() (float64, error) {
		var used, asked, entries int64
		for name, v := range c.samples {
			if request, ok := requests[name]; ok {
				used, asked, entries = used+v, asked+request, entries+1
			}
		}
		if asked == 0 {
			return 0, errors.New("no metrics returned matched known pods")
		}
		percent = clamp(float64(used/asked*100 + used%asked*100/asked))
		usage = used / entries
		return float64(percent) / float64(target), nil
	}
	first, err := ratio()
	if err != nil {
		return 0, 0, 0, err
	}
	shown, raw := percent, usage
	full := int64(max(100, target))
	n, err = c.size(first, ratio, func(pod string) int64 { return requests[pod] * full / 100 })
	return n, shown, raw, err
}

// size is upstream's choice. What is missing counts against the change: as much as it may use where the target would
// shrink, nothing where it would grow. Then again must give the ratio of all that counts now.
func (c *calculator) size(first float64, again func() (float64, error), most func(pod string) int64) (int32, error) {
	current := c.x.current
	grows := len(c.unready) > 0 && first > 1
	if !grows && len(c.missing) == 0 {
		if c.x.within(first) {
			return current, nil
		}
		return clamp(math.Ceil(first * float64(c.ready))), nil
	}
	for _, name := range c.missing {
		switch {
		case first < 1:
			c.samples[name] = most(name)
		case first > 1:
			c.samples[name] = 0
		}
	}
	if grows {
		for _, name := range c.unready {
			c.samples[name] = 0
		}
	}
	ratio, err := again()
	if err != nil {
		return 0, err
	}
	if c.x.within(ratio) || first < 1 && ratio > 1 || first > 1 && ratio < 1 {
		return current, nil
	}
	n := clamp(math.Ceil(ratio * float64(len(c.samples))))
	if ratio < 1 && n > current || ratio > 1 && n < current {
		return current, nil
	}
	return n, nil
}

// requests are what each Pod requests of the resource, in thousandths.
func (c *calculator) requests() (map[string]int64, error) {
	all := make(map[string]int64, len(c.x.pods))
	for _, r := range c.x.pods {
		n, err := requested(r.Pod(), c.container, c.resource)
		if err != nil {
			return nil, err
		}
		all[r.Ref.Name] = n
	}
	return all, nil
}

// requested is what a Pod requests, or one of its containers.
func requested(pod *corev1.Pod, container string, name corev1.ResourceName) (sum int64, err error) {
	if container == "" && resourcehelpers.IsPodLevelRequestsSet(pod) {
		q, ok := resourcehelpers.PodRequests(pod, resourcehelpers.PodResourcesOptions{})[name]
		if !ok {
			return 0, fmt.Errorf("missing pod-level request for %s in Pod %s", name, pod.Name)
		}
		return q.MilliValue(), nil
	}
	found := false
	add := func(list []corev1.Container, all bool) {
		for i := range list {
			ct := &list[i]
			side := ct.RestartPolicy != nil && *ct.RestartPolicy == corev1.ContainerRestartPolicyAlways
			if err != nil || !all && !side || container != "" && ct.Name != container {
				continue
			}
			found = true
			q, ok := ct.Resources.Requests[name]
			if !ok {
				err = fmt.Errorf("missing request for %s in container %s of Pod %s", name, ct.Name, pod.Name)
			}
			sum += q.MilliValue()
		}
	}
	add(pod.Spec.Containers, true)
	add(pod.Spec.InitContainers, false)
	if err == nil && container != "" && !found {
		err = fmt.Errorf("container %s not found in Pod %s", container, pod.Name)
	}
	return sum, err
}

// byRatio is the size for a metric that all Pods bear together: the ready ones, by its ratio to the target.
func (x *scaler) byRatio(usage, target int64) (int32, error) {
	ratio := float64(usage) / float64(target)
	if x.within(ratio) {
		return x.current, nil
	}
	if len(x.pods) == 0 {
		return 0, errors.New("unable to calculate ready pods: no pods returned by selector while calculating replica count")
	}
	ready := 0
	for _, r := range x.pods {
		if s := r.PodStatus(); s.Phase == corev1.PodRunning && state.PodIs(s, corev1.PodReady) {
			ready++
		}
	}
	return clamp(math.Ceil(ratio * float64(ready))), nil
}

// perReplica is the size at which each Pod has about its target's share of a metric, and the share now.
func (x *scaler) perReplica(usage, target int64) (n int32, each int64) {
	_, pods, _ := scalable(x.Target)
	n = pods
	if ratio := float64(usage) / (float64(target) * float64(pods)); !x.within(ratio) {
		n = clamp(math.Ceil(float64(usage) / float64(target)))
	}
	if float64(usage) >= math.MaxInt64 { // as upstream, which caps a sum so
		return n, math.MaxInt64
	}
	return n, int64(math.Ceil(float64(usage) / float64(max(pods, 1))))
}
