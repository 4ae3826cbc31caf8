package envoy

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

func TestMain(m *testing.M) { os.Exit(meshtest.Main(m)) }

// program is where Envoy is, or the end of the test.
func program(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("MESHBREACH_ENVOY"); path != "" {
		return path
	}
	return meshtest.Programs(t, "Envoy", Program)[Program]
}

// bed is a running mesh with what is inside it.
type bed struct {
	*meshtest.Bed
	mesh *installed
}

var theBed meshtest.Shared[*bed]

func shared(t *testing.T) *bed {
	t.Helper()
	return theBed.Or(t, func() (*bed, error) { return newBed(program(t), "shared", 1) })
}

// act bounds one act of a test.
const act = 10 * time.Second

func limit(t testing.TB) context.Context { return meshtest.Limit(t, act) }

func newBed(envoy, name string, ranges int) (*bed, error) {
	return newMesh(Mesh{}, envoy, name, ranges)
}

func newMesh(m Mesh, envoy, name string, ranges int) (*bed, error) {
	b, err := meshtest.Options{
		Mesh: m, Release: meshes.Release{Programs: map[string]string{Program: envoy}},
		Name: name, Ranges: ranges, Limit: 30 * time.Second, Patience: act,
	}.Make()
	if err != nil {
		return nil, err
	}
	return &bed{b, b.Mesh.(*installed)}, nil
}

func (b *bed) sidecar(t testing.TB, name string) *sidecar {
	t.Helper()
	s, ok := meshes.SidecarOf(b.Workload(t, name), b.mesh.stages[b.Range().Name].sidecars)
	if !ok {
		t.Fatalf("%s has no sidecar", name)
	}
	return s
}

// charge is the honest request to the bank's service, which has one address
// for everybody.
func (b *bed) charge(t testing.TB) attacker.Request { return b.Charge(t, "web") }

// generous lets the thief do everything at the bank.
func generous() policy.Policy { return meshtest.WithThief(meshtest.Friendly()) }

// line is a line of opaque TCP to a port of the bank.
func (b *bed) line(t testing.TB, port uint16, connection string) attacker.Request {
	return attacker.Request{
		Address:  netip.AddrPortFrom(b.Workload(t, "bank").Address, port).String(),
		Protocol: "tcp", Connection: connection,
	}
}

// expect fails unless the attempt was refused so.
func expect(t testing.TB, o attacker.Observation, want string) {
	t.Helper()
	if meshtest.Says(o) != want {
		t.Errorf("got %q, want %q", meshtest.Says(o), want)
	}
}
