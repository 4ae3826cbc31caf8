package consul

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

func TestMain(m *testing.M) { os.Exit(meshtest.Main(m)) }

// release is the programs on this machine, or the end of the test.
func release(t testing.TB) meshes.Release {
	t.Helper()
	return meshes.Release{Programs: meshtest.Programs(t, "Consul", Programs()...)}
}

// bed is a running mesh with what is inside it.
type bed struct {
	*meshtest.Bed
	mesh *installed
}

var theBed meshtest.Shared[*bed]

func shared(t *testing.T) *bed {
	t.Helper()
	return theBed.Or(t, func() (*bed, error) { return newBed(release(t), "shared", 1) })
}

// act bounds one act of a test.
const act = 20 * time.Second

func limit(t testing.TB) context.Context { return meshtest.Limit(t, act) }

func newBed(rel meshes.Release, name string, ranges int) (*bed, error) {
	return newMesh(Mesh{}, rel, name, ranges)
}

func newMesh(m Mesh, rel meshes.Release, name string, ranges int) (*bed, error) {
	b, err := meshtest.Options{
		Mesh: m, Release: rel, Name: name, Ranges: ranges, Limit: 20 * time.Second, Patience: act, Failed: keep,
	}.Make()
	if err != nil {
		return nil, err
	}
	return &bed{b, b.Mesh.(*installed)}, nil
}

// keep copies the logs of a mesh that could not be made to where
// CONSUL_TEST_LOGS says.
func keep(c *clusters.Cluster) {
	h, ok := c.Host.(clusters.ProxyHost)
	if to := os.Getenv("CONSUL_TEST_LOGS"); ok && to != "" {
		out, err := exec.Command("sh", "-c", "cd "+h.Scratch()+" && timeout 2 cp -r $(ls | grep -v sock) "+to+"; true").CombinedOutput()
		fmt.Fprintln(os.Stderr, string(out), err)
	}
}

func (b *bed) sidecar(t testing.TB, name string) *sidecar {
	t.Helper()
	s, ok := meshes.SidecarOf(b.Workload(t, name), b.mesh.stages[b.Range().Name].sidecars)
	if !ok {
		t.Fatalf("%s has no sidecar", name)
	}
	return s
}

// friendly lets web charge the bank and thief read its rates, and no more.
func friendly() policy.Policy {
	return policy.Policy{
		MTLS:      policy.Strict,
		Plaintext: []int{clusters.PortHealth},
		Allow: []policy.Rule{
			{From: []string{"web"}, To: "bank", Methods: []string{"POST"}, Paths: []string{"/v1/charge"}, Ports: []int{clusters.PortHTTP}},
			{From: []string{"web", "thief"}, To: "bank", Methods: []string{"GET"}, Paths: []string{"/v1/rates"}, Ports: []int{clusters.PortHTTP}},
			{From: []string{"web"}, To: "bank", Ports: []int{clusters.PortTCP}},
		},
	}
}

// generous lets the thief do everything at the bank.
func generous() policy.Policy { return meshtest.WithThief(friendly()) }

// charge is the honest request to the bank's service, as a meshed caller makes it.
func (b *bed) charge(t testing.TB) attacker.Request {
	return b.chargeAt(b.Workload(t, "bank").VIP)
}

func (b *bed) chargeAt(bank netip.Addr) attacker.Request {
	return attacker.Request{
		Address: netip.AddrPortFrom(bank, clusters.PortHTTP).String(),
		Method:  "POST", Path: "/v1/charge", Host: "bank.prod",
	}
}

// direct is the same request to the bank's own address, over TLS with a leaf.
func (b *bed) direct(t testing.TB, leaf *attacker.KeyPair) attacker.Request {
	k := b.chargeAt(b.Workload(t, "bank").Address)
	k.TLS = &attacker.TLS{Leaf: leaf}
	return k
}
