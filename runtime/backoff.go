package runtime

import "time"

// Kubernetes' numbers, with the first restart at once.
const (
	backoffFirst = 10 * time.Second
	backoffMax   = 5 * time.Minute
	backoffReset = 10 * time.Minute // a container that ran so long begins anew
)

// restartDelay is how long to wait after a container ended for the level-th time
// in a row (counted from 0).
func restartDelay(level int) time.Duration {
	if level <= 0 {
		return 0
	}
	return doubling(backoffFirst, level-1)
}

// pullDelay is how long to wait after an image could not be pulled for the
// failures-th time (counted from 1).
func pullDelay(failures int) time.Duration { return doubling(backoffFirst, failures-1) }

// retryDelay is for steps of the node's own that failed: they are cheap.
func retryDelay(failures int) time.Duration {
	return min(doubling(200*time.Millisecond, failures-1), 20*time.Second)
}

func doubling(first time.Duration, times int) time.Duration {
	d := first
	for range min(times, 20) {
		if d *= 2; d >= backoffMax {
			return backoffMax
		}
	}
	return d
}

// levelAfter is the level of the run that follows one of the given level and length.
func levelAfter(level int, ran time.Duration) int {
	if ran >= backoffReset {
		return 1
	}
	return level + 1
}
