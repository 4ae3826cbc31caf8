package istio

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
)

func TestMain(m *testing.M) {
	if !onCluster() {
		os.Exit(meshtest.Main(m))
	}
	// A cluster is reached by the network that this machine has.
	code := m.Run()
	if err := tidy(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// release is where the programs are, or the end of the test.
func release(t testing.TB) meshes.Release {
	t.Helper()
	if onCluster() {
		return meshes.Release{Hub: OfflineHub, Tag: "1.31"}
	}
	return meshes.Release{Programs: meshtest.Programs(t, "Istio", Programs()...)}
}

// bed is a running mesh with what is inside it.
type bed struct {
	*meshtest.Bed
	mesh *installed
}

var theBed meshtest.Shared[*bed]

func shared(t *testing.T) *bed {
	t.Helper()
	return theBed.Or(t, func() (*bed, error) { return newBed(Mesh{}, release(t), "shared", 1) })
}

// tidy takes the shared bed away: a cluster outlives this process.
func tidy() error {
	b, ok := theBed.Made()
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return b.Undo.Run(ctx)
}

// act bounds one act of a test.
const act = time.Minute

func limit(t testing.TB) context.Context { return meshtest.Limit(t, act) }

func newBed(m Mesh, rel meshes.Release, name string, ranges int) (*bed, error) {
	o := meshtest.Options{
		Mesh: m, Release: rel, Name: name, Ranges: ranges, Limit: 3 * time.Minute, Patience: act,
	}
	if onCluster() {
		o.Provide = onPods
	}
	b, err := o.Make()
	if err != nil {
		return nil, err
	}
	return &bed{b, b.Mesh.(*installed)}, nil
}
