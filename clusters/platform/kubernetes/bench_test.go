package kubernetes_test

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

func BenchmarkARangeOfPods(b *testing.B) {
	o := kubernetes.Options{Config: config(b), Image: image(b)}
	asked, gone := 0, time.Duration(0)
	for b.Loop() {
		c, h := up(b, b.Context(), o)
		if err := h.Launch(b.Context(), &c.Ranges[0], nil); err != nil {
			b.Fatal(err)
		}
		asked = h.Requests()
		b.StopTimer()
		began := time.Now()
		down(b, c)
		gone = time.Since(began)
		b.StartTimer()
	}
	b.ReportMetric(float64(asked), "requests")
	b.ReportMetric(gone.Seconds(), "s/undo")
}
