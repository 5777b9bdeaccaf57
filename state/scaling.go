package state

import (
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"writ/manifest"
)

// WriterMetrics is the writer of what is measured for autoscalers.
const WriterMetrics Writer = "metrics"

// Metrics is what was measured for an autoscaler in one round, as its author asked for it. It is an observation: not
// logged, and of no use once the next round is there. It is never modified after it was put.
type Metrics struct {
	At      time.Time  // of the end of the round; rounds are told apart by it
	Results []Measured // in the order of spec.metrics
}

// Measured is what one metric gave.
type Measured struct {
	Metric  string // which it is, so that a changed spec.metrics is not taken for what was asked
	Trouble string // why there are no samples, empty if there are or nobody had any
	Samples []Sample
}

// Sample is one value in thousandths: of a Pod where the metric is one of Pods, of a series of the metric otherwise.
type Sample struct {
	Pod    string
	Value  int64
	At     time.Time
	Window time.Duration // that the value is a rate over, zero for a level
}

// Scaling is what an autoscaler remembers. It is computed, and not logged by itself: what it decided is logged, with
// the memory as it was then. Without the memory a window of stabilization begins again with the present size, which
// is what upstream does at every start of its controller. It is never modified after it was put.
type Scaling struct {
	Looked      time.Time // At of the Metrics that were considered last
	Scaled      time.Time // when it last gave its target another size
	Target      manifest.Ref
	Recommended []Resized // sizes that were computed, before any limit
	Up, Down    []Resized // by how many replicas the target grew and shrank
}

// Equal says that both remember the same.
func (s *Scaling) Equal(o *Scaling) bool {
	if s == nil || o == nil {
		return s == o
	}
	same := func(a, b []Resized) bool {
		return slices.EqualFunc(a, b, func(x, y Resized) bool { return x.Replicas == y.Replicas && x.At.Equal(y.At) })
	}
	return s.Looked.Equal(o.Looked) && s.Scaled.Equal(o.Scaled) && s.Target == o.Target &&
		same(s.Recommended, o.Recommended) && same(s.Up, o.Up) && same(s.Down, o.Down)
}

// Resized is a number of replicas with its time.
type Resized struct {
	Replicas int32
	At       time.Time
}

func isAutoscaler(ref manifest.Ref) bool {
	return ref.Group == "autoscaling" && ref.Kind == "HorizontalPodAutoscaler"
}

func encodeMetrics(m *Metrics) []byte {
	b := appendTime(nil, 1, m.At)
	for i := range m.Results {
		r := &m.Results[i]
		c := appendText(appendText(nil, 1, r.Metric), 2, r.Trouble)
		for _, s := range r.Samples {
			d := appendSigned(appendText(nil, 1, s.Pod), 2, s.Value)
			c = appendBlock(c, 3, appendSigned(appendTime(d, 3, s.At), 4, int64(s.Window)))
		}
		b = appendBlock(b, 2, c)
	}
	return b
}

func decodeMetrics(data []byte) (*Metrics, error) {
	m := &Metrics{}
	return m, eachField(data, func(f field) (err error) {
		switch f.n {
		case 1:
			m.At, err = f.time()
		case 2:
			var r Measured
			r, err = decodeMeasured(f.block)
			m.Results = append(m.Results, r)
		}
		return err
	})
}

func decodeMeasured(data []byte) (r Measured, err error) {
	err = eachField(data, func(f field) error {
		switch f.n {
		case 1:
			r.Metric = f.text()
		case 2:
			r.Trouble = f.text()
		case 3:
			r.Samples = append(r.Samples, Sample{})
			return r.Samples[len(r.Samples)-1].decode(f.block)
		}
		return nil
	})
	return r, err
}

func (s *Sample) decode(data []byte) error {
	return eachField(data, func(f field) (err error) {
		switch f.n {
		case 1:
			s.Pod = f.text()
		case 2:
			s.Value = f.signed()
		case 3:
			s.At, err = f.time()
		case 4:
			s.Window = time.Duration(f.signed())
		}
		return err
	})
}

func encodeScaling(s *Scaling) []byte {
	b := appendTime(appendTime(nil, 1, s.Looked), 2, s.Scaled)
	b = appendBlock(b, 3, EncodeRef(s.Target))
	for n, list := range [][]Resized{s.Recommended, s.Up, s.Down} {
		for _, r := range list {
			b = appendBlock(b, 4+protowire.Number(n), appendTime(appendSigned(nil, 1, int64(r.Replicas)), 2, r.At))
		}
	}
	return b
}

func decodeScaling(data []byte) (*Scaling, error) {
	s := &Scaling{}
	return s, eachField(data, func(f field) (err error) {
		lists := [...]*[]Resized{&s.Recommended, &s.Up, &s.Down}
		switch f.n {
		case 1:
			s.Looked, err = f.time()
		case 2:
			s.Scaled, err = f.time()
		case 3:
			s.Target, err = DecodeRef(f.block)
		case 4, 5, 6:
			var r Resized
			r, err = decodeResized(f.block)
			into := lists[f.n-4]
			*into = append(*into, r)
		}
		return err
	})
}

func decodeResized(data []byte) (r Resized, err error) {
	err = eachField(data, func(f field) (err error) {
		switch f.n {
		case 1:
			r.Replicas = int32(f.signed())
		case 2:
			r.At, err = f.time()
		}
		return err
	})
	return r, err
}
