package guard

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"writ/runtime/pressure"
)

// fake is a node of numbers: what is taken or evicted gives something back.
type fake struct {
	mu       sync.Mutex
	free     int64 // of 1000 units of memory and disk
	uses     map[string]int64
	limits   map[string]int64
	images   int64
	hangs    map[string]chan struct{} // by pod, or "node"
	did      []string
	measured []string
	looks    int
	guard    *Guard
	began    time.Time
}

// hanging names what never answers; the channel is made where it is used, in the time of its test.
func hanging(names ...string) map[string]chan struct{} {
	out := map[string]chan struct{}{}
	for _, name := range names {
		out[name] = nil
	}
	return out
}

func (f *fake) note(format string, args ...any) {
	f.did = append(f.did, fmt.Sprintf("%v %s", time.Since(f.began).Round(time.Second), fmt.Sprintf(format, args...)))
}

func (f *fake) Levels() (pressure.Levels, error) {
	f.mu.Lock()
	f.looks++
	hang := f.hangs["node"]
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return pressure.Levels{pressure.NodeFsAvailable: {Available: f.free, Capacity: 1000}}, nil
}

func podOf(name string, limit int64) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}}}}
	if limit > 0 {
		size := resource.NewQuantity(limit, resource.BinarySI)
		p.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: size}}}}
	}
	return p
}

func (f *fake) Pods() []pressure.Pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []pressure.Pod
	for name := range f.uses {
		out = append(out, pressure.Pod{Object: podOf(name, f.limits[name])})
	}
	return out
}

func (f *fake) Limited() []*corev1.Pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*corev1.Pod
	for name, limit := range f.limits {
		if _, ok := f.uses[name]; ok {
			out = append(out, podOf(name, limit))
		}
	}
	return out
}

func (f *fake) Usage(_ context.Context, pod *corev1.Pod, _, gently bool) (*pressure.Usage, error) {
	f.mu.Lock()
	f.measured = append(f.measured, pod.Name)
	hang := f.hangs[pod.Name]
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if gently {
		time.Sleep(100 * time.Millisecond)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return &pressure.Usage{Volumes: map[string]pressure.Use{"x": {Bytes: f.uses[pod.Name]}}}, nil
}

func (f *fake) Take(_ context.Context, t pressure.Take) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("take %s", t)
	if t == pressure.UnusedImages {
		f.free, f.images = f.free+f.images, 0
	}
	return nil
}

func (f *fake) Evict(e *pressure.Eviction) {
	f.mu.Lock()
	f.note("evict %s", e.UID)
	f.mu.Unlock()
	time.AfterFunc(2*time.Second, func() {
		f.mu.Lock()
		f.free += f.uses[string(e.UID)]
		delete(f.uses, string(e.UID))
		f.mu.Unlock()
		f.guard.Ring()
	})
}

func (f *fake) Starved(name corev1.ResourceName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("starved of %s", name)
}

// run lets a node go on for so long.
func (f *fake) run(t *testing.T, d time.Duration) string {
	t.Helper()
	for name := range f.hangs {
		f.hangs[name] = make(chan struct{})
	}
	f.began = time.Now()
	c, err := (&pressure.Settings{Hard: map[string]string{"nodefs.available": "10%"}}).Parse()
	if err != nil {
		t.Fatal(err)
	}
	f.guard = New(c, f, f, nil, func() {
		now := f.guard.Conditions()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.note("conditions %v", now)
	}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.guard.Run(ctx) }()
	time.Sleep(d)
	cancel()
	<-done
	for _, hang := range f.hangs {
		close(hang)
	}
	time.Sleep(time.Minute)
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.did, "\n")
}

func TestGuard(t *testing.T) {
	tests := map[string]struct {
		node *fake
		want string
	}{
		"idle": {node: &fake{free: 500, uses: map[string]int64{"a": 1}}},
		"images are enough": {node: &fake{free: 50, images: 300, uses: map[string]int64{"a": 1}},
			want: "0s conditions [DiskPressure]\n0s starved of ephemeral-storage\n0s take dead containers\n0s take old logs\n0s take unused images\n5m0s conditions []"},
		"two pods have to go, one after the other": {node: &fake{free: 10, uses: map[string]int64{"a": 80, "b": 50, "c": 1}},
			want: "0s conditions [DiskPressure]\n0s starved of ephemeral-storage\n0s take dead containers\n0s take old logs\n0s take unused images\n0s evict a\n" +
				"2s starved of ephemeral-storage\n2s take dead containers\n2s take old logs\n2s take unused images\n2s evict b\n5m2s conditions []"},
		"one that hangs is not known and goes first": {node: &fake{free: 10, uses: map[string]int64{"a": 95, "b": 100}, hangs: hanging("a")},
			want: "0s conditions [DiskPressure]\n0s starved of ephemeral-storage\n0s take dead containers\n0s take old logs\n0s take unused images\n20s evict a\n5m20s conditions []"},
		"a limit": {node: &fake{free: 500, uses: map[string]int64{"a": 11, "b": 10, "c": 400}, limits: map[string]int64{"a": 10, "b": 10}},
			want: "0s evict a"},
		"one that hangs does not keep the others": {node: &fake{free: 500, uses: map[string]int64{"a": 11, "b": 11}, limits: map[string]int64{"a": 10, "b": 10}, hangs: hanging("a")},
			want: "0s evict b"},
		"a disk that hangs": {node: &fake{free: 500, hangs: hanging("node")}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := tt.node.run(t, 10*time.Minute); got != tt.want {
					t.Errorf("the node did\n%s\nwant\n%s", got, tt.want)
				}
			})
		})
	}
}

// What an idle node is asked, and how often a Pod with a limit is measured.
func TestGuard_Cost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fake{free: 500, uses: map[string]int64{"a": 1, "b": 1, "c": 1}, limits: map[string]int64{"a": 10}}
		if did := f.run(t, 10*time.Minute); did != "" {
			t.Errorf("an idle node did %s", did)
		}
		if f.looks > 61 {
			t.Errorf("an idle node was measured %d times in ten minutes, want at most 61", f.looks)
		}
		if slices.Contains(f.measured, "b") || slices.Contains(f.measured, "c") {
			t.Errorf("pods without a limit are measured: %v", f.measured)
		}
		if n := len(f.measured); n < 55 || n > 61 {
			t.Errorf("the pod with a limit was measured %d times, want about 60", n)
		}
	})
}

// What does not answer is asked once, not again and again: each call costs a thread.
func TestGuard_HangsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fake{free: 500, hangs: hanging("node")}
		f.run(t, 10*time.Minute)
		if f.looks != 1 {
			t.Errorf("a node that does not answer was measured %d times in ten minutes, want 1", f.looks)
		}
	})
}

func TestWatchStalls_Ends(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- WatchStalls(ctx, func() {}) }()
	cancel()
	if err := <-done; err != nil {
		t.Skipf("the kernel does not tell: %v", err)
	}
}
