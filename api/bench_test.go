package api

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	restclient "k8s.io/client-go/rest"

	"writ/state"
)

// BenchmarkList10000Pods is the time until a list of 10,000 pods has arrived, and until its first byte has.
func BenchmarkList10000Pods(b *testing.B) {
	r := newRig(b)
	const pods, batch = 10_000, 1000
	for i := 0; i < pods; i += batch {
		var puts []state.Put
		for j := range batch {
			puts = append(puts, put(&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("web-%06d", i+j), Labels: map[string]string{"app": "web"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "web:1", Env: []corev1.EnvVar{{Name: "A", Value: "b"}}}}},
			}))
		}
		r.decide(nil, puts...)
	}
	c := r.as("")
	client, err := restclient.HTTPClientFor(c)
	if err != nil {
		b.Fatal(err)
	}
	for name, accept := range map[string]string{"json": "application/json", "protobuf": "application/vnd.kubernetes.protobuf", "table": "application/json;as=Table;v=v1;g=meta.k8s.io"} {
		b.Run(name, func(b *testing.B) {
			var first time.Duration
			var bytes int64
			for range b.N {
				request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, c.Host+"/api/v1/pods", nil)
				if err != nil {
					b.Fatal(err)
				}
				request.Header.Set("Accept", accept)
				request.Header.Set("Accept-Encoding", "identity")
				began := time.Now()
				answer, err := client.Do(request)
				if err != nil {
					b.Fatal(err)
				}
				first += time.Since(began)
				if bytes, err = io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
					b.Fatalf("%d, %v", answer.StatusCode, err)
				}
				answer.Body.Close()
			}
			b.ReportMetric(float64(first.Milliseconds())/float64(b.N), "ms-to-first-byte")
			b.ReportMetric(float64(bytes), "bytes")
		})
	}
}
