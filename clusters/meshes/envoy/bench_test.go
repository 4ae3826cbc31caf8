package envoy

import (
	"context"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// A change of rules on a warm range with nothing open, as between two scenarios.
func BenchmarkApplySettled(b *testing.B) {
	bed, err := newBed(program(b), "bench", 1)
	if err != nil {
		b.Fatal(err)
	}
	defer bed.undo(b)
	listeners := meshtest.Friendly()
	listeners.Plaintext = nil
	for name, pair := range map[string][2]policy.Policy{
		"rules":     {meshtest.Friendly(), generous()},
		"listeners": {meshtest.Friendly(), listeners},
		"nothing":   {meshtest.Friendly(), meshtest.Friendly()},
	} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				bed.Apply(b, pair[i%2])
			}
		})
	}
}

func BenchmarkInstall(b *testing.B) {
	for b.Loop() {
		bed, err := newBed(program(b), "install", 2)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(bed.Took.Milliseconds()), "ms/mesh")
		bed.undo(b)
	}
}

func BenchmarkRender(b *testing.B) {
	for b.Loop() {
		if _, err := (Mesh{}).Render(meshtest.Paper(), meshtest.Friendly()); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bed) undo(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Undo.Run(ctx); err != nil {
		t.Error(err)
	}
}
