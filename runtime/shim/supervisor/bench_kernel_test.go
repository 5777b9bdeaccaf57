//go:build kernel

package supervisor_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"writ/runtime/shim"
)

// BenchmarkLaunch is a new shim until it answers.
func BenchmarkLaunch(b *testing.B) {
	r := newRig(b)
	for b.Loop() {
		b.StopTimer()
		r.killShim()
		b.StartTimer()
		r.launch()
	}
}

// BenchmarkStart is Start until it answers: created, recorded and running.
func BenchmarkStart(b *testing.B) {
	r := pod(b)
	i := 0
	var spent time.Duration
	for b.Loop() {
		id := fmt.Sprintf("c%d", i)
		i++
		r.start(r.request(id, "sleep", "600"))
		b.StopTimer()
		began := time.Now()
		if _, err := r.client.Stop(r.ctx, id, 0); err != nil {
			b.Fatal(err)
		}
		if err := r.client.Remove(r.ctx, id); err != nil {
			b.Fatal(err)
		}
		spent += time.Since(began)
		b.StartTimer()
	}
	b.ReportMetric(float64(spent.Microseconds())/float64(i)/1000, "ms/stop+remove")
}

// BenchmarkPod is all of a pod: shim, sandbox, container.
func BenchmarkPod(b *testing.B) {
	for b.Loop() {
		r := pod(b)
		r.start(r.request("c", "sleep", "600"))
		b.StopTimer()
		if err := shim.Destroy(r.ctx, shared.binary, r.dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkExec is a probe's exec.
func BenchmarkExec(b *testing.B) {
	r := pod(b)
	r.start(r.request("c", "sleep", "600"))
	for b.Loop() {
		if _, result := r.exec("c", "true"); result.ExitCode != 0 {
			b.Fatal(result)
		}
	}
}

// BenchmarkLog is output from a container into its log.
func BenchmarkLog(b *testing.B) {
	r := pod(b)
	const lines = 1_000_000
	i := 0
	for b.Loop() {
		id := fmt.Sprintf("c%d", i)
		i++
		r.start(r.request(id, fmt.Sprintf("yes 'a line of a program that has something to say, 64 bytes long' | head -n %d", lines)))
		if got := r.exited(id); got.ExitCode != 0 {
			b.Fatal(got)
		}
		if err := r.client.Remove(r.ctx, id); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(lines * 64)
}

// BenchmarkMemory reports what a shim costs: 20 pods with one container each,
// after a log line and a probe.
func BenchmarkMemory(b *testing.B) {
	const pods = 20
	for b.Loop() {
		var all []*rig
		for range pods {
			r := pod(b)
			r.start(r.request("c", "echo up; sleep 600"))
			r.exec("c", "true")
			all = append(all, r)
		}
		wait(b, "the shims to give back what they do not need", func() bool { time.Sleep(2500 * time.Millisecond); return true })
		sums := map[string]float64{}
		for _, r := range all {
			hello, err := r.client.Hello(r.ctx)
			if err != nil {
				b.Fatal(err)
			}
			data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", hello.PID))
			if err != nil {
				b.Fatal(err)
			}
			for text := range strings.Lines(string(data)) {
				var name string
				var kib float64
				if n, _ := fmt.Sscanf(text, "%s %f kB", &name, &kib); n == 2 {
					sums[name] += kib / pods
				}
			}
		}
		b.ReportMetric(sums["Pss:"], "KiB-PSS/shim")
		b.ReportMetric(sums["Rss:"], "KiB-RSS/shim")
		b.ReportMetric(sums["Pss_Anon:"], "KiB-anon/shim")
	}
}
