//go:build kernel

package runtime

import (
	"fmt"
	"testing"
	"time"

	"writ/manifest"
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
				bench.StartTimer()
				b.world.adopt(bench, b.cfg.Node, "c1", objects...)
				for i := range pods {
					b.world.await(bench, "default", fmt.Sprintf("p%d", i), "ready", time.Minute, ready)
				}
				bench.StopTimer()
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
