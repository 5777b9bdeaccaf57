//go:build kernel

package runtime

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"writ/manifest"
	"writ/runtime/shim"
)

// BenchmarkStart is how long a node takes until that many Pods are ready, image present.
func BenchmarkStart(bench *testing.B) {
	for _, pods := range []int{1, 10, 50} {
		bench.Run(fmt.Sprint(pods), func(bench *testing.B) {
			for range bench.N {
				bench.StopTimer()
				b := newBed(bench)
				var objects []manifest.Object
				for i := range pods {
					objects = append(objects, pod(fmt.Sprintf("p%d", i), busyboxImage, command("sleep", "1000")))
				}
				before := used(syscall.RUSAGE_SELF) + used(syscall.RUSAGE_CHILDREN)
				bench.StartTimer()
				b.world.adopt(bench, b.cfg.Node, "c1", objects...)
				for i := range pods {
					b.world.await(bench, "default", fmt.Sprintf("p%d", i), "ready", time.Minute, ready)
				}
				bench.StopTimer()
				bench.ReportMetric((b.cpu()-before).Seconds()*1000/float64(pods), "cpu-ms/pod")
				bench.ReportMetric(float64(bench.Elapsed().Milliseconds())/float64(bench.N)/float64(pods), "ms/pod")
				for i := range pods {
					b.world.end(bench, "default", fmt.Sprintf("p%d", i), 0)
				}
				for i := range pods {
					b.world.await(bench, "default", fmt.Sprintf("p%d", i), "gone", time.Minute, gone)
				}
			}
		})
	}
}

// cpu is what this process, those it waited for, and the shims with theirs have used.
func (b *bed) cpu() time.Duration {
	sum := used(syscall.RUSAGE_SELF) + used(syscall.RUSAGE_CHILDREN)
	for _, uid := range b.r.onDisk() {
		hello, err := shim.New(b.cfg.pod("", "", uid).run).Hello(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", hello.PID))
		if err != nil {
			b.t.Fatal(err)
		}
		fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+2:]))
		for _, f := range fields[11:15] { // utime, stime, cutime, cstime in hundredths
			n, err := strconv.Atoi(f)
			if err != nil {
				b.t.Fatal(err)
			}
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}

func used(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
