package store

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"writ/manifest"
	"writ/state"
)

// template is a pod spec of about the size that people write.
func template(i int) corev1.PodSpec {
	spec := corev1.PodSpec{ServiceAccountName: "default", RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst}
	c := corev1.Container{
		Name: "app", Image: fmt.Sprintf("registry.example.com/team/app-%d:1.2.3", i),
		Args:           []string{"--listen=:8080", "--config=/etc/app/config.yaml"},
		Ports:          []corev1.ContainerPort{{ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		VolumeMounts:   []corev1.VolumeMount{{Name: "config", MountPath: "/etc/app"}},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 10, TimeoutSeconds: 1},
	}
	for n := range 12 {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", n), Value: strings.Repeat("x", 20)})
	}
	spec.Containers = []corev1.Container{c}
	spec.Volumes = []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "app"}}}}}
	return spec
}

// pods are the puts of n pods of n/100 owners, bound and running.
func pods(n int) []state.Put {
	puts := make([]state.Put, 0, n)
	var spec corev1.PodSpec
	for i := range n {
		if i%100 == 0 {
			spec = template(i / 100)
		}
		name := fmt.Sprintf("app-%d-5d8f9c7b6-%05d", i/100, i)
		puts = append(puts, state.Put{
			Ref: manifest.PodRef("default", name), Origin: state.Derived, Node: "node-1",
			Object: &corev1.Pod{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{
					"app": fmt.Sprintf("app-%d", i/100), "pod-template-hash": "5d8f9c7b6"}},
				Spec: spec,
			},
			Status: &corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.244.0.7", Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}},
		})
	}
	return puts
}

func many() int {
	if n, err := strconv.Atoi(os.Getenv("WRIT_MANY")); err == nil {
		return n
	}
	return 150_000
}

func TestStore_LargeBatch(t *testing.T) {
	n := 20_000
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	propose(t, s, decide(s.World(), pods(n)...))
	want := digest(t, s.World())
	closeStore(t, s)
	s = open(t, cfg)
	defer closeStore(t, s)
	if got := digest(t, s.World()); got != want {
		t.Errorf("World after reopening %s, want %s", got, want)
	}
}

func BenchmarkOpen(b *testing.B) {
	cfg := Config{Dir: b.TempDir()}
	s := open(b, cfg)
	began := time.Now()
	propose(b, s, decide(s.World(), pods(many())...))
	proposed := time.Since(began)
	began = time.Now()
	closeStore(b, s)
	closed := time.Since(began)
	s = nil
	for b.Loop() {
		s := open(b, cfg)
		b.StopTimer()
		b.ReportMetric(float64(heap())/(1<<20), "MB-heap")
		b.ReportMetric(float64(s.World().Len()), "records")
		closeStore(b, s)
		b.StartTimer()
	}
	b.ReportMetric(proposed.Seconds(), "s/propose")
	b.ReportMetric(closed.Seconds(), "s/close")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
