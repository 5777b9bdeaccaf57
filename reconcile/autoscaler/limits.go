package autoscaler

import (
	"math"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"writ/state"
)

// downscaleWindow is upstream's --horizontal-pod-autoscaler-downscale-stabilization.
const downscaleWindow = 5 * time.Minute

// TooMany is the reason of an autoscaler that would like to go beyond its maxReplicas.
const TooMany = "TooManyReplicas"

const (
	rangeReason  = "DesiredWithinRange"
	rangeMessage = "the desired count is within the acceptable range"
	fewReason    = "TooFewReplicas"
	fewMessage   = "the desired replica count is less than the minimum replica count"
	manyMessage  = "the desired replica count is more than the maximum replica count"
	fastReason   = "ScaleUpLimit"
	fastMessage  = "the desired replica count is increasing faster than the maximum scale rate"
	slowReason   = "ScaleDownLimit"
	slowMessage  = "the desired replica count is decreasing faster than the maximum scale rate"
)

// limit brings a proposal into the bounds of an autoscaler without behavior: it does not fall below what was
// recommended in the last five minutes and at most doubles, or grows to four.
func (x *scaler) limit(wanted int32) int32 {
	stable := wanted
	since := x.Now.Add(-downscaleWindow)
	for _, r := range x.Scaling.Recommended {
		if !r.At.Before(since) {
			stable = max(stable, r.Replicas)
		}
	}
	x.recommend(wanted, since)
	x.stabilized(stable != wanted, "ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation")

	most, reason, message := x.hpa.Spec.MaxReplicas, TooMany, manyMessage
	if fastest := max(saturated(2*int64(x.current)), 4); most > fastest {
		most, reason, message = fastest, fastReason, fastMessage
	}
	switch least := x.least(); {
	case stable < least:
		x.limited(true, fewReason, fewMessage)
		return least
	case stable > most:
		x.limited(true, reason, message)
		return most
	}
	x.limited(false, rangeReason, rangeMessage)
	return stable
}

// behave brings a proposal into the bounds that spec.behavior sets.
func (x *scaler) behave(wanted int32) int32 {
	up, down := rules(x.hpa.Spec.Behavior.ScaleUp, 0), rules(x.hpa.Spec.Behavior.ScaleDown, downscaleWindow)
	upSince, downSince := x.Now.Add(-up.window), x.Now.Add(-down.window)
	lowest, highest := wanted, wanted
	for _, r := range x.Scaling.Recommended {
		if r.At.After(upSince) {
			lowest = min(lowest, r.Replicas)
		}
		if r.At.After(downSince) {
			highest = max(highest, r.Replicas)
		}
	}
	stable := min(max(x.current, lowest), highest)
	x.recommend(wanted, x.Now.Add(-max(up.window, down.window)))
	if wanted >= x.current {
		x.stabilized(stable != wanted, "ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation")
	} else {
		x.stabilized(stable != wanted, "ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation")
	}
	return x.rated(stable, up, down)
}

// rated brings a size into the bounds and the rates of the policies.
func (x *scaler) rated(stable int32, up, down scalingRules) int32 {
	switch {
	case stable > x.current:
		most, reason, message := x.hpa.Spec.MaxReplicas, TooMany, manyMessage
		if fastest := max(x.fastestUp(up), x.current); most > fastest {
			most, reason, message = fastest, fastReason, fastMessage
		}
		if stable > most {
			x.limited(true, reason, message)
			return most
		}
	case stable < x.current:
		least, reason, message := x.least(), fewReason, fewMessage
		if fastest := min(x.fastestDown(down), x.current); least < fastest {
			least, reason, message = fastest, slowReason, slowMessage
		}
		if stable < least {
			x.limited(true, reason, message)
			return least
		}
	}
	x.limited(false, rangeReason, rangeMessage)
	return stable
}

// scalingRules are those of one direction, with upstream's defaults where an old store left them out.
type scalingRules struct {
	window   time.Duration
	choice   autoscalingv2.ScalingPolicySelect
	policies []autoscalingv2.HPAScalingPolicy
}

func rules(r *autoscalingv2.HPAScalingRules, window time.Duration) scalingRules {
	s := scalingRules{window: window, choice: autoscalingv2.MaxChangePolicySelect}
	if r == nil {
		return s
	}
	if r.StabilizationWindowSeconds != nil {
		s.window = state.Seconds(int64(*r.StabilizationWindowSeconds))
	}
	if r.SelectPolicy != nil {
		s.choice = *r.SelectPolicy
	}
	s.policies = r.Policies
	return s
}

func (s *scalingRules) longest() (longest time.Duration) {
	for i := range s.policies {
		longest = max(longest, state.Seconds(int64(s.policies[i].PeriodSeconds)))
	}
	return longest
}

// fastestUp is the largest size that the policies allow now.
func (x *scaler) fastestUp(s scalingRules) int32 {
	return x.fastest(s, true, func(begun float64, p *autoscalingv2.HPAScalingPolicy) float64 {
		if p.Type == autoscalingv2.PodsScalingPolicy {
			return begun + float64(p.Value)
		}
		return math.Ceil(begun * (1 + float64(p.Value)/100)) // up, or a small target would never grow
	})
}

// fastestDown is the smallest size that the policies allow now.
func (x *scaler) fastestDown(s scalingRules) int32 {
	return x.fastest(s, false, func(begun float64, p *autoscalingv2.HPAScalingPolicy) float64 {
		if p.Type == autoscalingv2.PodsScalingPolicy {
			return begun - float64(p.Value)
		}
		return math.Trunc(begun * (1 - float64(p.Value)/100))
	})
}

// fastest is the size that the policies allow, each from the size at the beginning of its period. Max is the policy
// that allows the most change, Min the one that allows the least.
func (x *scaler) fastest(s scalingRules, up bool, propose func(float64, *autoscalingv2.HPAScalingPolicy) float64) int32 {
	if s.choice == autoscalingv2.DisabledPolicySelect || len(s.policies) == 0 {
		return x.current
	}
	largest := up == (s.choice != autoscalingv2.MinChangePolicySelect)
	var chosen float64
	for i := range s.policies {
		p := &s.policies[i]
		period := state.Seconds(int64(p.PeriodSeconds))
		begun := x.current - changed(x.Scaling.Up, x.Now, period) + changed(x.Scaling.Down, x.Now, period)
		proposed := propose(float64(begun), p)
		if i == 0 || largest == (proposed > chosen) {
			chosen = proposed
		}
	}
	return clamp(chosen)
}

// changed is by how many replicas a target changed in the last period.
func changed(list []state.Resized, now time.Time, period time.Duration) (n int32) {
	for _, r := range list {
		if r.At.After(now.Add(-period)) {
			n += r.Replicas
		}
	}
	return n
}

// recommend remembers a proposal and forgets those before since. Of the same size twice in a row the later counts
// for both.
func (x *scaler) recommend(n int32, since time.Time) {
	list := slices.DeleteFunc(slices.Clone(x.Scaling.Recommended), func(r state.Resized) bool { return r.At.Before(since) })
	next := state.Resized{Replicas: n, At: x.wall()}
	if last := len(list) - 1; last >= 0 && list[last].Replicas == n {
		list[last] = next
	} else {
		list = append(list, next)
	}
	x.Scaling.Recommended = list
}

// scaled remembers another size, as far as the policies ask.
func (x *scaler) scaled(n int32) {
	if x.hpa.Spec.Behavior == nil {
		return
	}
	if n > x.current {
		up := rules(x.hpa.Spec.Behavior.ScaleUp, 0)
		x.Scaling.Up = resizedAgain(x.Scaling.Up, x.Now.Add(-up.longest()), state.Resized{Replicas: n - x.current, At: x.wall()})
	} else {
		down := rules(x.hpa.Spec.Behavior.ScaleDown, downscaleWindow)
		x.Scaling.Down = resizedAgain(x.Scaling.Down, x.Now.Add(-down.longest()), state.Resized{Replicas: x.current - n, At: x.wall()})
	}
}

// resizedAgain is a list with another change, which takes the place of the latest entry that is from before since: as upstream,
// each direction looks as far back as its own policies ask, whatever those of the other do.
func resizedAgain(list []state.Resized, since time.Time, next state.Resized) []state.Resized {
	list = slices.Clone(list)
	for i, r := range slices.Backward(list) {
		if r.At.Before(since) {
			list[i] = next
			return list
		}
	}
	return append(list, next)
}

func (x *scaler) stabilized(is bool, reason, message string) {
	if !is {
		reason, message = "ReadyForNewScale", "recommended size matches current size"
	}
	x.set(autoscalingv2.AbleToScale, corev1.ConditionTrue, reason, message)
}

func (x *scaler) limited(is bool, reason, message string) {
	status := corev1.ConditionFalse
	if is {
		status = corev1.ConditionTrue
	}
	x.set(autoscalingv2.ScalingLimited, status, reason, message)
}

// clamp is a computed size as a number of replicas.
func clamp(n float64) int32 {
	switch {
	case math.IsNaN(n):
		return 0
	case n >= math.MaxInt32:
		return math.MaxInt32
	case n <= math.MinInt32:
		return math.MinInt32
	}
	return int32(n)
}

func saturated(n int64) int32 { return int32(min(n, math.MaxInt32)) }
