package control

import (
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/printers"
	"k8s.io/kubernetes/pkg/printers/internalversion"

	"writ/manifest"
	"writ/state"
)

// containerOf is a container's status: "name+", "name Reason" (waiting), "name exit CODE [Reason]", with "#N" restarts.
func containerOf(text string) corev1.ContainerStatus {
	f := strings.Fields(text)
	yes := true
	s := corev1.ContainerStatus{Name: strings.TrimRight(f[0], "+#"), RestartCount: int32(strings.Count(f[0], "#"))}
	switch {
	case strings.Contains(f[0], "+"):
		s.Ready, s.Started = true, &yes
		s.State.Running = &corev1.ContainerStateRunning{}
	case len(f) == 1:
		s.State.Running = &corev1.ContainerStateRunning{}
	case f[1] == "exit":
		s.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: int32(f[2][0] - '0')}
		if len(f) > 3 {
			s.State.Terminated.Reason = f[3]
		}
	default:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: f[1]}
	}
	return s
}

// What a Pod shows is what kubectl's printer makes of it.
func TestPodPhrase_AsKubectl(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	table := printers.NewTableGenerator()
	internalversion.AddHandlers(table)
	for _, tt := range []struct {
		name    string
		phase   corev1.PodPhase
		init    []string
		main    []string
		change  func(*corev1.Pod)
		deleted bool
		want    string
	}{
		{name: "creating", phase: "Pending", main: []string{"a ContainerCreating"}, want: "ContainerCreating"},
		{name: "running", phase: "Running", main: []string{"a+", "b+##"}, want: "Running, 2 restarts"},
		{name: "first of two", phase: "Pending", init: []string{"i", "j PodInitializing"}, main: []string{"a PodInitializing"}, want: "Init:0/2"},
		{name: "second of two", phase: "Pending", init: []string{"i exit 0 Completed", "j"}, main: []string{"a PodInitializing"}, want: "Init:1/2"},
		{name: "init in back-off", phase: "Pending", init: []string{"i# CrashLoopBackOff"}, main: []string{"a PodInitializing"}, want: "Init:CrashLoopBackOff, 1 restart"},
		{name: "init failed", phase: "Failed", init: []string{"i exit 1 Error"}, main: []string{"a PodInitializing"}, want: "Init:Error"},
		{name: "init without an image", phase: "Pending", init: []string{"i ImagePullBackOff"}, main: []string{"a PodInitializing"}, want: "Init:ImagePullBackOff"},
		{name: "init done", phase: "Pending", init: []string{"i exit 0 Completed"}, main: []string{"a PodInitializing"}, want: "PodInitializing"},
		{name: "sidecar", phase: "Running", init: []string{"side+#"}, main: []string{"a+#"}, want: "Running, 2 restarts"},
		{name: "sidecar starting", phase: "Pending", init: []string{"side"}, main: []string{"a PodInitializing"}, want: "Init:0/1"},
		{name: "back-off", phase: "Running", main: []string{"a+", "b# CrashLoopBackOff"}, want: "CrashLoopBackOff, 1 restart"},
		{name: "done", phase: "Succeeded", main: []string{"a exit 0 Completed"}, want: "Completed"},
		{name: "one is done", phase: "Running", main: []string{"a exit 0 Completed", "b+"}, want: "NotReady"},
		{name: "one is done, the pod ready", phase: "Running", main: []string{"a exit 0 Completed", "b+"}, change: isTrue(corev1.PodReady), want: "Running"},
		{name: "one failed", phase: "Failed", main: []string{"a exit 0 Completed", "b exit 1 OOMKilled"}, want: "OOMKilled"},
		{name: "no reason", phase: "Failed", main: []string{"a exit 3"}, want: "ExitCode:3"},
		{name: "evicted", phase: "Failed", main: nil, change: func(p *corev1.Pod) { p.Status.Reason = "Evicted" }, want: "Evicted"},
		{name: "going", phase: "Running", main: []string{"a+"}, deleted: true, want: "Terminating"},
		{name: "gone after its end", phase: "Succeeded", main: []string{"a exit 0 Completed"}, deleted: true, want: "Completed"},
		{name: "gated", phase: "Pending", change: func(p *corev1.Pod) {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated})
		}, want: "SchedulingGated"},
		{name: "begins anew", phase: "Running", init: []string{"i# RestartingAllContainers"}, main: []string{"a# RestartingAllContainers"}, change: isTrue(corev1.PodInitialized), want: "RestartingAllContainers, 1 restart"},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "p"}, Status: corev1.PodStatus{Phase: tt.phase}}
		for _, text := range tt.init {
			s := containerOf(text)
			c := corev1.Container{Name: s.Name}
			if s.Name == "side" {
				c.RestartPolicy = &always
			}
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
			pod.Status.InitContainerStatuses = append(pod.Status.InitContainerStatuses, s)
		}
		for _, text := range tt.main {
			s := containerOf(text)
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: s.Name})
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, s)
		}
		if tt.change != nil {
			tt.change(pod)
		}
		rec := &state.Record{Ref: manifest.PodRef("d", "p"), Object: pod, Status: &pod.Status, Node: "n"}
		if tt.deleted {
			rec.Deletion = &state.Deletion{}
			now := metav1.Now()
			pod.DeletionTimestamp = &now
		}
		got := podPhrase(rec)
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		word, restarts := printed(t, table, pod)
		if own, n := podWord(rec, &pod.Status); own != word || int64(n) != restarts {
			t.Errorf("%s: %s with %d restarts, kubectl shows %s and %d", tt.name, own, n, word, restarts)
		}
	}
}

func isTrue(kind corev1.PodConditionType) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue})
	}
}

// printed is what upstream's printer shows of a Pod.
func printed(t *testing.T, table *printers.HumanReadableGenerator, pod *corev1.Pod) (word string, restarts int64) {
	t.Helper()
	var internal core.Pod
	if err := v1.Convert_v1_Pod_To_core_Pod(pod.DeepCopy(), &internal, nil); err != nil {
		t.Fatal(err)
	}
	rows, err := table.GenerateTable(&internal, printers.GenerateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cells := rows.Rows[0].Cells
	n, err := strconv.ParseInt(strings.Fields(cells[3].(string))[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return cells[2].(string), n
}
