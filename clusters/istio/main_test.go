package istio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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
	if onCluster() {
		// A cluster is reached by the network that this machine has.
		code := m.Run()
		if err := tidy(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
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

// release is where the programs are, or the end of the test.
func release(t testing.TB) clusters.Release {
	t.Helper()
	r := clusters.Release{Programs: map[string]string{}}
	if onCluster() {
		return clusters.Release{Hub: OfflineHub, Tag: "1.31"}
	}
	for _, name := range Programs() {
		found, err := programs.Find(t.Context(), name, programs.Options{})
		if err != nil {
			t.Skipf("NOT TESTED against a real Istio: %v", err)
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

// theBed is shared: a mesh takes seconds to make. Tests leave it healthy.
var theBed = struct {
	sync.Mutex
	made *bed
}{}

func shared(t *testing.T) *bed {
	t.Helper()
	theBed.Lock()
	defer theBed.Unlock()
	if theBed.made == nil {
		b, err := newBed(Mesh{}, release(t), "shared", 1)
		if err != nil {
			t.Fatal(err)
		}
		theBed.made = b
	}
	return theBed.made
}

// tidy takes the shared bed away: a cluster outlives this process.
func tidy() error {
	if theBed.made == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return theBed.made.Undo.Run(ctx)
}

func newBed(m Mesh, rel clusters.Release, name string, ranges int) (*bed, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	provide := func(s clusters.Spec) (*clusters.Cluster, error) { return local.Provider{}.Up(ctx, s) }
	if onCluster() {
		provide = func(s clusters.Spec) (*clusters.Cluster, error) { return onPods(ctx, s) }
	}
	c, err := provide(clusters.Spec{Name: name, Ranges: ranges, Probe: "/proc/self/exe"})
	if err != nil {
		return nil, err
	}
	start := time.Now()
	mesh, err := m.Install(ctx, c, rel)
	if err != nil {
		return nil, errors.Join(err, c.Undo.Run(ctx))
	}
	b := &bed{Cluster: c, mesh: mesh.(*installed), sessions: map[string]*session.Client{}, up: time.Since(start)}
	if err := b.greet(ctx); err != nil {
		undo, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		return nil, errors.Join(err, c.Undo.Run(undo))
	}
	return b, nil
}

// greet opens the sessions and lets everybody serve.
func (b *bed) greet(ctx context.Context) error {
	for _, r := range b.Ranges {
		for _, w := range r.Workloads {
			stream, err := b.Host.Stream(w)
			if err != nil {
				return err
			}
			s := session.Connect(stream)
			if _, err := s.Hello(ctx); err != nil {
				return err
			}
			b.sessions[r.Name+"/"+w.Name] = s
			if err := s.Serve(ctx, []attacker.Listen{
				{Port: clusters.PortHTTP, Protocol: app.HTTP}, {Port: clusters.PortHealth, Protocol: app.HTTP},
				{Port: clusters.PortAdmin, Protocol: app.HTTP}, {Port: clusters.PortTCP, Protocol: app.TCP},
				{Port: clusters.PortOpaque, Protocol: app.TCP},
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
