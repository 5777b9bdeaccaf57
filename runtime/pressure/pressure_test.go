package pressure

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func list(memory, disk string) corev1.ResourceList {
	out := corev1.ResourceList{}
	if memory != "" {
		out[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	if disk != "" {
		out[corev1.ResourceEphemeralStorage] = resource.MustParse(disk)
	}
	return out
}

// one is a Pod of one container that requests and uses so much.
func one(name string, priority int32, memory, disk string, u Usage) Pod {
	u.Containers = []ContainerUsage{{Name: "main", Memory: u.Memory, Root: u.Volumes["root"]}}
	u.Volumes = nil
	return Pod{Usage: &u, Object: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec: corev1.PodSpec{Priority: &priority, Containers: []corev1.Container{
			{Name: "main", Resources: corev1.ResourceRequirements{Requests: list(memory, disk)}},
		}},
	}}
}

func root(bytes, inodes int64) map[string]Use {
	return map[string]Use{"root": {Bytes: bytes, Inodes: inodes}}
}

func names(pods []Pod) string {
	var out []string
	for _, p := range pods {
		out = append(out, p.Object.Name)
	}
	return strings.Join(out, " ")
}

// The rules are those of upstream's eviction manager (concepts/scheduling-eviction/node-pressure-eviction).
func TestRank(t *testing.T) {
	unknown := one("unknown", 1000, "", "", Usage{})
	unknown.Usage = nil
	memory := []Pod{
		one("under-low", 0, "300Mi", "", Usage{Memory: 200 << 20}),
		one("over-high", 100, "100Mi", "", Usage{Memory: 500 << 20}),
		one("over-low-little", 0, "100Mi", "", Usage{Memory: 150 << 20}),
		one("over-low-much", 0, "100Mi", "", Usage{Memory: 400 << 20}),
		one("under-lower", -5, "300Mi", "", Usage{Memory: 10 << 20}),
		one("exactly", 0, "64Mi", "", Usage{Memory: 64 << 20}),
	}
	disk := []Pod{
		one("asked", 0, "", "1Gi", Usage{Volumes: root(900<<20, 5)}),
		one("small", 0, "", "", Usage{Volumes: root(1<<20, 90000)}),
		one("big", 0, "", "", Usage{Volumes: root(700<<20, 10)}),
		one("important", 9, "", "", Usage{Volumes: root(5<<30, 10)}),
	}
	pids := []Pod{
		one("many", 0, "", "", Usage{PIDs: 900}), one("few", 0, "", "", Usage{PIDs: 3}),
		one("low", -1, "", "", Usage{PIDs: 1}), one("high", 7, "", "", Usage{PIDs: 5000}),
	}
	tests := map[string]struct {
		signal Signal
		config Config
		pods   []Pod
		want   string
	}{
		"memory: over request, priority, usage above request": {signal: MemoryAvailable, pods: memory,
			want: "over-low-much over-low-little over-high under-lower exactly under-low"},
		"memory: who is not known goes first": {signal: MemoryAvailable, pods: append([]Pod{memory[3]}, unknown), want: "unknown over-low-much"},
		"disk":                                {signal: NodeFsAvailable, pods: disk, want: "big small important asked"},
		"inodes":                              {signal: NodeFsInodesFree, pods: disk, want: "small big asked important"},
		"images on the same disk":             {signal: ImageFsAvailable, pods: disk, want: "big small important asked"},
		"images on a disk of their own":       {signal: ImageFsAvailable, config: Config{ImageFs: true}, pods: disk, want: "big small asked important"},
		"processes: priority, then how many":  {signal: PIDAvailable, pods: pids, want: "low many few high"},
		"processes: who is not known, among equals": {signal: PIDAvailable, pods: append(slices.Clone(pids[:2]), func() Pod {
			p := one("dark", 0, "", "", Usage{})
			p.Usage = nil
			return p
		}()), want: "dark many few"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for range 20 { // whatever the order in which they come
				rand.Shuffle(len(tt.pods), func(i, j int) { tt.pods[i], tt.pods[j] = tt.pods[j], tt.pods[i] })
				if got := names(Rank(&tt.config, tt.signal, tt.pods)); got != tt.want {
					t.Fatalf("Rank(%s) = %s, want %s", tt.signal, got, tt.want)
				}
			}
		})
	}
}

func TestLimits(t *testing.T) {
	size := resource.MustParse("1Mi")
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := one("p", 0, "", "", Usage{}).Object
		change(p)
		return p
	}
	limit := func(n ...string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Containers = nil
			for i, text := range n {
				c := corev1.Container{Name: fmt.Sprintf("c%d", i)}
				if text != "" {
					c.Resources.Limits = list("", text)
				}
				p.Spec.Containers = append(p.Spec.Containers, c)
			}
		}
	}
	volume := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}}}
	}
	use := func(root, logs, x int64) *Usage {
		return &Usage{Containers: []ContainerUsage{{Name: "c0", Root: Use{Bytes: root}, Logs: Use{Bytes: logs}}}, Volumes: map[string]Use{"x": {Bytes: x}}}
	}
	tests := map[string]struct {
		pod     *corev1.Pod
		use     *Usage
		limited bool
		want    string
	}{
		"none":                 {pod: pod(limit("")), use: use(1<<40, 0, 0)},
		"emptyDir within":      {pod: pod(volume), use: use(0, 0, 1<<20), limited: true},
		"emptyDir over":        {pod: pod(volume), use: use(0, 0, 1<<20+1), limited: true, want: `Usage of EmptyDir volume "x" exceeds the limit "1Mi". `},
		"container within":     {pod: pod(limit("1Gi", "")), use: use(1<<29, 1<<29, 0), limited: true},
		"layer and log over":   {pod: pod(limit("1Gi", "1Gi")), use: use(1<<29+1, 1<<29, 0), limited: true, want: `Container c0 exceeded its local ephemeral storage limit "1Gi". `},
		"pod over by a volume": {pod: pod(limit("512Mi", "512Mi")), use: use(1<<28, 0, 1<<30), limited: true, want: "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "},
		"emptyDir is said first": {pod: pod(func(p *corev1.Pod) { limit("1Ki")(p); volume(p) }), use: use(1<<30, 0, 1<<30), limited: true,
			want: `Usage of EmptyDir volume "x" exceeds the limit "1Mi". `},
		"the system rests on it": {pod: pod(func(p *corev1.Pod) { volume(p); n := int32(systemCritical); p.Spec.Priority = &n }), use: use(0, 0, 1<<30)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Limited(tt.pod); got != tt.limited {
				t.Errorf("Limited = %v, want %v", got, tt.limited)
			}
			got := ""
			if e := Limits(tt.pod, tt.use); e != nil {
				got = e.Message
				if e.Grace != 1 || e.UID != "p" || e.Disrupted {
					t.Errorf("Limits = %+v, want uid p, grace 1 and no disruption", e)
				}
			}
			if got != tt.want {
				t.Errorf("Limits says %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	tests := map[string]struct {
		in   Settings
		want string // thresholds, or the errors
	}{
		"kubelet's":      {want: "memory.available<100Mi nodefs.available<0.10 nodefs.inodesFree<0.05 imagefs.available<0.15 imagefs.inodesFree<0.05"},
		"replaced whole": {in: Settings{Hard: map[string]string{"memory.available": "1Gi", "nodefs.available": "0%"}}, want: "memory.available<1Gi"},
		"soft": {in: Settings{Hard: map[string]string{}, Soft: map[string]string{"pid.available": "20%"}, SoftGrace: map[string]string{"pid.available": "90s"}, MinReclaim: map[string]string{"pid.available": "50"}},
			want: "pid.available<0.20 for 1m30s and 50"},
		"soft without grace": {in: Settings{Soft: map[string]string{"pid.available": "20%"}}, want: "grace period must be specified for the soft eviction threshold pid.available"},
		"all at once": {in: Settings{Hard: map[string]string{"disk": "1Gi", "memory.available": "-1", "nodefs.available": "200%", "imagefs.available": "x"}, SoftGrace: map[string]string{"pid.available": "soon"}},
			want: "eviction grace period of pid.available: time: invalid duration \"soon\"\nunsupported eviction signal disk\n" +
				"eviction threshold imagefs.available: \"x\" is neither a quantity nor a percentage\neviction threshold memory.available must be positive: -1\n" +
				"eviction percentage threshold nodefs.available must be <= 100%: 200%"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := tt.in.Parse()
			got := describe(&c)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Parse gives\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func describe(c *Config) string {
	var out []string
	text := func(v Value) string {
		if v.Quantity != nil {
			return v.Quantity.String()
		}
		return fmt.Sprintf("%.2f", v.Part)
	}
	for _, t := range c.Thresholds {
		s := fmt.Sprintf("%s<%s", t.Signal, text(t.Below))
		if t.Grace > 0 {
			s += " for " + t.Grace.String()
		}
		if t.MinReclaim != (Value{}) {
			s += " and " + text(t.MinReclaim)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// step is what one look says, as text.
func (v *Verdict) text() string {
	s := fmt.Sprint(v.Conditions, " ", string(v.Do))
	switch v.Do {
	case Reclaim:
		s += " " + string(v.Take)
	case Evict:
		s += fmt.Sprintf(" %s grace %d: %s", v.Evict.UID, v.Evict.Grace, v.Evict.Message)
	}
	if v.Began {
		s += " (" + string(v.Starved) + ")"
	}
	return strings.TrimSpace(s)
}

func parse(t *testing.T, s Settings) *Config {
	t.Helper()
	c, err := s.Parse()
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// A history: what a node does as its levels move.
func TestDecide(t *testing.T) {
	const gib = 1 << 30
	short := func(s Signal, available int64) Levels { return Levels{s: {Available: available, Capacity: 100 * gib}} }
	pods := []Pod{one("a", 0, "1Gi", "", Usage{Memory: 2 * gib, Volumes: root(3*gib, 1)}), one("b", 0, "1Gi", "", Usage{Memory: gib / 2, Volumes: root(gib, 1)})}
	critical := one("critical", systemCritical, "", "", Usage{Memory: 90 * gib, Volumes: root(90*gib, 1)})
	type look struct {
		after  time.Duration
		levels Levels
		pods   []Pod
		want   string
	}
	tests := map[string]struct {
		settings Settings
		looks    []look
	}{
		"memory, then its end": {looks: []look{
			{0, short(MemoryAvailable, gib), pods, "[]"},
			{0, short(MemoryAvailable, 50<<20), pods, "[MemoryPressure] measure (memory)"},
			{0, short(MemoryAvailable, 50<<20), pods, "[MemoryPressure] evict a grace 1: The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. " +
				"Container main was using 2Gi, request is 1Gi, has larger consumption of memory. "},
			{time.Second, short(MemoryAvailable, 50<<20), pods, "[MemoryPressure]"}, // one at a time
			{time.Second, short(MemoryAvailable, 60<<20), pods[1:], "[MemoryPressure] measure (memory)"},
			{0, short(MemoryAvailable, gib), pods[1:], "[MemoryPressure]"},
			{4 * time.Minute, short(MemoryAvailable, gib), pods[1:], "[MemoryPressure]"},
			{time.Minute, short(MemoryAvailable, gib), pods[1:], "[]"},
		}},
		"a pod that does not end is passed over": {looks: []look{
			{0, short(MemoryAvailable, 1), pods, "[MemoryPressure] measure (memory)"},
			{0, short(MemoryAvailable, 1), pods, "[MemoryPressure] evict a grace 1: The node was low on resource: memory. Threshold quantity: 100Mi, available: 1. " +
				"Container main was using 2Gi, request is 1Gi, has larger consumption of memory. "},
			{goneWithin, short(MemoryAvailable, 1), []Pod{{Object: pods[0].Object, Usage: pods[0].Usage, Ending: true}, pods[1]}, "[MemoryPressure] measure (memory)"},
			{0, short(MemoryAvailable, 1), []Pod{{Object: pods[0].Object, Usage: pods[0].Usage, Ending: true}, pods[1]},
				"[MemoryPressure] evict b grace 1: The node was low on resource: memory. Threshold quantity: 100Mi, available: 1. "},
		}},
		"disk: everything else first": {looks: []look{
			{0, short(NodeFsAvailable, 9*gib), pods, "[DiskPressure] reclaim dead containers (ephemeral-storage)"},
			{0, short(NodeFsAvailable, 9*gib), pods, "[DiskPressure] reclaim old logs"},
			{0, short(NodeFsAvailable, 9*gib), pods, "[DiskPressure] reclaim unused images"},
			{0, short(NodeFsAvailable, 9*gib), pods, "[DiskPressure] measure"},
			{0, short(NodeFsAvailable, 9*gib), pods, "[DiskPressure] evict a grace 1: The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9Gi. " +
				"Container main was using 3Gi, request is 0, has larger consumption of ephemeral-storage. "},
		}},
		"disk: images were enough": {looks: []look{
			{0, short(ImageFsAvailable, 14*gib), pods, "[DiskPressure] reclaim dead containers (ephemeral-storage)"},
			{0, short(ImageFsAvailable, 14*gib), pods, "[DiskPressure] reclaim old logs"},
			{0, short(ImageFsAvailable, 14*gib), pods, "[DiskPressure] reclaim unused images"},
			{0, short(ImageFsAvailable, 20*gib), pods, "[DiskPressure]"},
		}},
		"the minimum has to be reclaimed": {settings: Settings{MinReclaim: map[string]string{"imagefs.available": "5%"}}, looks: []look{
			{0, short(ImageFsAvailable, 17*gib), pods, "[]"},
			{0, short(ImageFsAvailable, 14*gib), pods, "[DiskPressure] reclaim dead containers (ephemeral-storage)"},
			{0, short(ImageFsAvailable, 17*gib), pods, "[DiskPressure] reclaim old logs"},
			{0, short(ImageFsAvailable, 20*gib), pods, "[DiskPressure]"},
			{0, short(ImageFsAvailable, 17*gib), pods, "[DiskPressure]"},
		}},
		"soft: after its grace, with the pod's own up to the bound": {
			settings: Settings{Hard: map[string]string{}, Soft: map[string]string{"memory.available": "1Gi"}, SoftGrace: map[string]string{"memory.available": "1m"}, MaxPodGrace: 20},
			looks: []look{
				{0, short(MemoryAvailable, gib/2), pods, "[MemoryPressure]"},
				{59 * time.Second, short(MemoryAvailable, gib/2), pods, "[MemoryPressure]"},
				{time.Second, short(MemoryAvailable, gib/2), pods, "[MemoryPressure] measure (memory)"},
				{0, short(MemoryAvailable, gib/2), pods[1:], "[MemoryPressure] evict b grace 20: The node was low on resource: memory. Threshold quantity: 1Gi, available: 512Mi. "},
			}},
		"soft: a gap begins the grace anew": {
			settings: Settings{Hard: map[string]string{}, Soft: map[string]string{"memory.available": "1Gi"}, SoftGrace: map[string]string{"memory.available": "1m"}},
			looks: []look{
				{0, short(MemoryAvailable, gib/2), pods, "[MemoryPressure]"},
				{50 * time.Second, short(MemoryAvailable, 2*gib), pods, "[MemoryPressure]"},
				{time.Second, short(MemoryAvailable, gib/2), pods, "[MemoryPressure]"},
				{30 * time.Second, short(MemoryAvailable, gib/2), pods, "[MemoryPressure]"},
			}},
		"critical pods are spared": {looks: []look{
			{0, short(MemoryAvailable, 1), []Pod{critical}, "[MemoryPressure] measure (memory)"},
			{0, short(MemoryAvailable, 1), []Pod{critical}, "[MemoryPressure]"},
			{10 * time.Second, short(MemoryAvailable, 1), []Pod{critical, pods[1]}, "[MemoryPressure] measure (memory)"},
			{0, short(MemoryAvailable, 1), []Pod{critical, pods[1]}, "[MemoryPressure] evict b grace 1: The node was low on resource: memory. Threshold quantity: 100Mi, available: 1. "},
		}},
		"memory before disk": {looks: []look{
			{0, Levels{MemoryAvailable: {1, gib}, NodeFsAvailable: {1, gib}}, pods, "[MemoryPressure DiskPressure] measure (memory)"},
		}},
		"what is not measured is not short": {looks: []look{{0, Levels{}, pods, "[]"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, now, s, measured := parse(t, tt.settings), noon, State{}, false
			for i, l := range tt.looks {
				now = now.Add(l.after)
				v := Decide(c, s, Input{Now: now, Levels: l.levels, Pods: l.pods, Measured: measured})
				if got := v.text(); got != strings.TrimSpace(l.want) {
					t.Fatalf("look %d says\n%s\nwant\n%s", i, got, l.want)
				}
				s, measured = v.State, v.Do == Measure
			}
		})
	}
}

// Random histories: whatever happens, the rules hold after every look.
func TestDecide_Histories(t *testing.T) {
	for seed := range uint64(300) {
		history(t, seed)
	}
}

func history(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 4))
	settings := Settings{
		Soft: map[string]string{"memory.available": "30%", "pid.available": "10%"}, SoftGrace: map[string]string{"memory.available": "45s", "pid.available": "20s"},
		MinReclaim: map[string]string{"nodefs.available": "5%"}, MaxPodGrace: r.Int64N(60) - 1,
	}
	c := parse(t, settings)
	c.ImageFs = r.IntN(3) == 0
	var pods []Pod
	for i := range 1 + r.IntN(6) {
		prio := []int32{0, 0, 10, systemCritical}[r.IntN(4)]
		pods = append(pods, one(fmt.Sprint("p", i), prio, "64Mi", "", Usage{Memory: r.Int64N(1 << 30), PIDs: r.Int64N(100), Volumes: root(r.Int64N(1<<30), r.Int64N(99))}))
	}
	now, s, levels, measured := noon, State{}, Levels{}, false
	taken := map[Take]bool{}
	observed := map[corev1.NodeConditionType]time.Time{}
	for range 200 {
		if !measured && r.IntN(3) > 0 { // a measurement follows at once
			now = now.Add(time.Duration(r.IntN(20_000)) * time.Millisecond)
			levels = maps.Clone(levels)
			levels[order[r.IntN(len(order))]] = Level{Available: r.Int64N(1 << 30), Capacity: 1 << 30}
		}
		in := Input{Now: now, Levels: levels, Pods: pods, Measured: measured}
		before := fmt.Sprint(s)
		v := Decide(c, s, in)
		if again := Decide(c, s, in); !reflect.DeepEqual(v, again) || fmt.Sprint(s) != before {
			t.Fatalf("seed %d: the same question has two answers, or the state was modified", seed)
		}
		anyMet := false
		for i := range c.Thresholds {
			if c.Thresholds[i].met(levels, false) {
				anyMet = true
				observed[c.Thresholds[i].Signal.Condition()] = now
			}
		}
		for kind, at := range observed {
			if now.Sub(at) < c.Transition && !slices.Contains(v.Conditions, kind) {
				t.Fatalf("seed %d: %v was seen at %v and is not there at %v", seed, kind, at, now)
			}
		}
		if !anyMet && v.Do != Nothing && len(s.acting) == 0 {
			t.Fatalf("seed %d: %s though nothing is short", seed, v.Do)
		}
		if !v.Wake.After(now) || v.Wake.After(now.Add(LookEvery)) {
			t.Fatalf("seed %d: wakes at %v, now is %v", seed, v.Wake, now)
		}
		if v.Began {
			clear(taken)
		}
		switch v.Do {
		case Reclaim:
			taken[v.Take] = true
		case Evict:
			for _, take := range Takes(c, v.Signal) {
				if !taken[take] {
					t.Fatalf("seed %d: evicts for %s before %s went", seed, v.Signal, take)
				}
			}
			i := slices.IndexFunc(pods, func(p Pod) bool { return p.Object.UID == v.Evict.UID })
			if i < 0 || pods[i].Ending || Critical(pods[i].Object) || !in.Measured {
				t.Fatalf("seed %d: evicts %s, which is gone, going or critical", seed, v.Evict.UID)
			}
			if slices.ContainsFunc(pods, func(p Pod) bool { return p.Ending }) && now.Before(s.until) {
				t.Fatalf("seed %d: two at a time", seed)
			}
			pods = slices.Clone(pods)
			pods[i].Ending = true
		case Nothing: // before Wake nothing changes
			if at := now.Add(v.Wake.Sub(now) - 1); at.After(now) {
				in.Now = at
				if w := Decide(c, v.State, in); w.Do != Nothing && v.State.waiting == "" && len(v.State.acting) == 0 || len(w.Conditions) != len(v.Conditions) {
					t.Fatalf("seed %d: %s %v before the wake, was %v", seed, w.Do, w.Conditions, v.Conditions)
				}
			}
		}
		s, measured = v.State, v.Do == Measure
		if r.IntN(4) == 0 {
			pods = slices.DeleteFunc(slices.Clone(pods), func(p Pod) bool { return p.Ending })
		}
	}
}
