package kubernetes_test

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/kubernetes"
)

// What a kept relay saves: a call of the probe over it, beside an exec a call.

func BenchmarkACallOverTheKeptRelay(b *testing.B) {
	c, h := launched(b, b.Context())
	client, _ := meet(b, b.Context(), h, member(b, c, "sink"))
	for b.Loop() {
		if _, err := client.Hello(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAnExecACall(b *testing.B) {
	c, h := launched(b, b.Context())
	w := member(b, c, "sink")
	for b.Loop() {
		// The relay finds no input, and ends.
		if _, err := h.Exec(b.Context(), w.Namespace, kubernetes.Pod(w), "probe", "/probe", "-relay", "/run/probe/probe.sock"); err != nil {
			b.Fatal(err)
		}
	}
}

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
