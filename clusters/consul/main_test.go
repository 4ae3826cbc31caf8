package consul

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/app"
	"github.com/meshbreach/meshbreach/attacker/session"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/local"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

// The test binary is the harness and the probes as well.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-hide" {
		os.Exit(probe())
	}
	os.Exit(local.Main(m.Run))
}

type stdio struct {
	io.Reader
	io.WriteCloser
}

func probe() int {
	a, err := app.Start(nil, app.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err = session.Serve(context.Background(), stdio{os.Stdin, os.Stdout}, session.Agent{
		App:      a,
		Foothold: attacker.Foothold{Dial: new(net.Dialer).DialContext, Now: time.Now, Kept: attacker.NewConnections()},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// release is the programs on this machine, or the end of the test.
func release(t testing.TB) clusters.Release {
	t.Helper()
	r := clusters.Release{Programs: map[string]string{}}
	for _, name := range Programs() {
		found, err := programs.Find(t.Context(), name, programs.Options{})
		if err != nil {
			t.Skipf("NOT TESTED against a real Consul: %v", err)
		}
		r.Programs[name] = found.Path
	}
	return r
}

// bed is a running mesh with one session for each workload.
type bed struct {
	*clusters.Cluster
	mesh     *installed
	sessions map[string]*session.Client
	up       time.Duration // of the mesh alone
}

// theBed is shared: a mesh takes a second to make. Tests leave it healthy.
var theBed = struct {
	sync.Mutex
	made *bed
}{}

func shared(t *testing.T) *bed {
	t.Helper()
	theBed.Lock()
	defer theBed.Unlock()
	if theBed.made == nil {
		b, err := newBed(release(t), "shared", 1)
		if err != nil {
			t.Fatal(err)
		}
		theBed.made = b
	}
	return theBed.made
}

func newBed(rel clusters.Release, name string, ranges int) (*bed, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := local.Provider{}.Up(ctx, clusters.Spec{Name: name, Ranges: ranges, Probe: "/proc/self/exe"})
	if err != nil {
		return nil, err
	}
	start := time.Now()
	mesh, err := Mesh{}.Install(ctx, c, rel)
	if err != nil {
		keep(c)
		return nil, errors.Join(err, c.Undo.Run(context.WithoutCancel(ctx)))
	}
	b := &bed{Cluster: c, mesh: mesh.(*installed), sessions: map[string]*session.Client{}, up: time.Since(start)}
	for _, r := range c.Ranges {
		for _, w := range r.Workloads {
			stream, err := c.Host.Stream(w)
			if err != nil {
				return nil, err
			}
			s := session.Connect(stream)
			if _, err := s.Hello(ctx); err != nil {
				return nil, err
			}
			b.sessions[r.Name+"/"+w.Name] = s
			if err := s.Serve(ctx, []attacker.Listen{
				{Port: clusters.PortHTTP, Protocol: app.HTTP}, {Port: clusters.PortHealth, Protocol: app.HTTP},
				{Port: clusters.PortAdmin, Protocol: app.HTTP}, {Port: clusters.PortTCP, Protocol: app.TCP},
				{Port: clusters.PortOpaque, Protocol: app.TCP},
			}); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// keep copies the logs of a mesh that could not be made to where
// CONSUL_TEST_LOGS says.
func keep(c *clusters.Cluster) {
	if to := os.Getenv("CONSUL_TEST_LOGS"); to != "" {
		out, err := exec.Command("sh", "-c", "cd "+c.Host.Scratch()+" && timeout 2 cp -r $(ls | grep -v sock) "+to+"; true").CombinedOutput()
		fmt.Fprintln(os.Stderr, string(out), err)
	}
}
