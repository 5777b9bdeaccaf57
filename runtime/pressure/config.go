package pressure

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// DefaultTransition is how long a condition stays after its shortage is over, and DefaultHard are the
// kubelet's hard thresholds.
const DefaultTransition = 5 * time.Minute

// DefaultHard are the kubelet's hard thresholds.
func DefaultHard() map[string]string {
	return map[string]string{
		"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%", "imagefs.available": "15%", "imagefs.inodesFree": "5%",
	}
}

// Settings are what an administrator writes, in the kubelet's words: by signal, a quantity or a percentage,
// or a duration for SoftGrace. A nil Hard is DefaultHard; any other replaces it whole.
type Settings struct {
	Hard, Soft, SoftGrace, MinReclaim map[string]string
	// Transition is how long a condition stays after its shortage is over; 0: DefaultTransition.
	Transition time.Duration
	// MaxPodGrace bounds the grace of a Pod that a soft threshold evicts, in seconds; negative: the Pod's own.
	MaxPodGrace int64
}

// Config is how a node meets shortages.
type Config struct {
	Thresholds  []Threshold
	Transition  time.Duration
	MaxPodGrace int64
	// ImageFs says that images and the layers of containers are on a filesystem of their own.
	ImageFs bool
}

// Hard is how much of a signal's capacity is left when Pods have to go at once; 0 where nothing makes them go.
func (c *Config) Hard(s Signal, capacity int64) int64 {
	for i := range c.Thresholds {
		if t := &c.Thresholds[i]; t.Signal == s && t.hard() {
			return t.Below.of(capacity)
		}
	}
	return 0
}

// Parse reads the settings. It says everything that is wrong at once.
func (s *Settings) Parse() (Config, error) {
	c := Config{Transition: cmp.Or(s.Transition, DefaultTransition), MaxPodGrace: s.MaxPodGrace}
	hard := s.Hard
	if hard == nil {
		hard = DefaultHard()
	}
	var errs []error
	if s.Transition < 0 {
		errs = append(errs, fmt.Errorf("eviction pressure transition period %v must not be negative", s.Transition))
	}
	grace, err := durations(s.SoftGrace)
	errs = append(errs, err)
	reclaim, err := values(s.MinReclaim, true)
	errs = append(errs, err)
	for i, list := range []map[string]string{hard, s.Soft} {
		below, err := values(list, false)
		errs = append(errs, err)
		for _, signal := range order {
			v, ok := below[signal]
			if !ok || signal == ContainerFsAvailable || signal == ContainerFsInodesFree {
				continue
			}
			t := Threshold{Signal: signal, Below: v, MinReclaim: reclaim[signal]}
			if i == 1 {
				if t.Grace, ok = grace[signal]; !ok {
					errs = append(errs, fmt.Errorf("grace period must be specified for the soft eviction threshold %v", signal))
				}
			}
			c.Thresholds = append(c.Thresholds, t)
		}
	}
	return c, errors.Join(errs...)
}

func signals(list map[string]string, take func(Signal, string) error) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if signal := Signal(name); signal.known() {
			errs = append(errs, take(signal, list[name]))
		} else {
			errs = append(errs, fmt.Errorf("unsupported eviction signal %v", name))
		}
	}
	return errors.Join(errs...)
}

func durations(list map[string]string) (map[Signal]time.Duration, error) {
	out := map[Signal]time.Duration{}
	err := signals(list, func(s Signal, text string) error {
		d, err := time.ParseDuration(text)
		switch {
		case err != nil:
			return fmt.Errorf("eviction grace period of %v: %w", s, err)
		case d < 0:
			return fmt.Errorf("invalid eviction grace period specified: %v, must be a positive value", text)
		}
		out[s] = d
		return nil
	})
	return out, err
}

// values are thresholds or, with reclaim, minimum reclaims.
func values(list map[string]string, reclaim bool) (map[Signal]Value, error) {
	out := map[Signal]Value{}
	err := signals(list, func(s Signal, text string) error {
		v, err := value(s, text, reclaim)
		if err == nil && v != (Value{}) {
			out[s] = v
		}
		return err
	})
	return out, err
}

func value(s Signal, text string, reclaim bool) (Value, error) {
	what := "threshold"
	if reclaim {
		what = "minimum reclaim"
	}
	if part, ok := strings.CutSuffix(text, "%"); ok {
		n, err := strconv.ParseFloat(part, 64)
		switch {
		case err != nil:
			return Value{}, fmt.Errorf("eviction percentage %s %v: %q is not a percentage", what, s, text)
		case reclaim && n <= 0:
			return Value{}, fmt.Errorf("eviction percentage minimum reclaim %v must be positive: %s", s, text)
		case n < 0:
			return Value{}, fmt.Errorf("eviction percentage threshold %v must be >= 0%%: %s", s, text)
		case n > 100 && !reclaim:
			return Value{}, fmt.Errorf("eviction percentage threshold %v must be <= 100%%: %s", s, text)
		case !reclaim && (n == 0 || n == 100):
			return Value{}, nil // as in the kubelet: no threshold
		}
		return Value{Part: n / 100}, nil
	}
	q, err := resource.ParseQuantity(text)
	switch {
	case err != nil:
		return Value{}, fmt.Errorf("eviction %s %v: %q is neither a quantity nor a percentage", what, s, text)
	case reclaim && q.Sign() < 0:
		return Value{}, fmt.Errorf("negative eviction minimum reclaim specified for %v", s)
	case !reclaim && q.Sign() <= 0:
		return Value{}, fmt.Errorf("eviction threshold %v must be positive: %s", s, text)
	}
	return Value{Quantity: &q}, nil
}
