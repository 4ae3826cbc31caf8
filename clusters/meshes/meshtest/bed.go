// Package meshtest is what the tests of meshes share: a mesh that runs, on
// provider local if nothing else is said, with a session for each workload,
// and what they ask of it.
package meshtest

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
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

// Main runs the tests of a package, whose binary is the harness and the probes
// as well, and gives the exit code.
func Main(m *testing.M) int {
	if len(os.Args) > 1 && os.Args[1] == "-hide" {
		if err := probe(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	return local.Main(m.Run)
}

type stdio struct {
	io.Reader
	io.WriteCloser
}

func probe() error {
	a, err := app.Start(nil, app.Options{})
	if err != nil {
		return err
	}
	return session.Serve(context.Background(), stdio{os.Stdin, os.Stdout}, session.Agent{
		App:      a,
		Foothold: attacker.Foothold{Dial: new(net.Dialer).DialContext, Now: time.Now, Kept: attacker.NewConnections()},
	})
}

// Programs are where a mesh's programs are, by name, or the end of the test:
// with -short too, since a control plane takes long.
func Programs(t testing.TB, mesh string, names ...string) map[string]string {
	t.Helper()
	if testing.Short() {
		t.Skipf("needs the programs of %s: make meshes", mesh)
	}
	paths := map[string]string{}
	for _, name := range names {
		found, err := programs.Find(t.Context(), name, programs.Options{})
		if err != nil {
			t.Skipf("NOT TESTED against a real %s: %v", mesh, err)
		}
		paths[name] = found.Path
	}
	return paths
}

// A Bed is a running mesh with one session for each workload.
type Bed struct {
	*clusters.Cluster
	Mesh meshes.Installed
	Took time.Duration // to install the mesh alone

	patience time.Duration
	sessions map[string]*session.Client
}

// Options say which bed is to be made.
type Options struct {
	Mesh     meshes.Mesh
	Release  meshes.Release
	Name     string
	Ranges   int
	Limit    time.Duration // for everything to come up
	Patience time.Duration // for one act of a test
	// Provide makes the cluster; provider local does when it is nil.
	Provide func(context.Context, clusters.Spec) (*clusters.Cluster, error)
	// Failed looks at a cluster whose mesh could not be made, before it is gone.
	Failed func(*clusters.Cluster)
}

// Make makes a bed, or nothing.
func (o Options) Make() (*Bed, error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.Limit)
	defer cancel()
	provide := o.Provide
	if provide == nil {
		provide = local.Provider{}.Up
	}
	c, err := provide(ctx, clusters.Spec{Name: o.Name, Ranges: o.Ranges, Probe: "/proc/self/exe"})
	if err != nil {
		return nil, err
	}
	b := &Bed{Cluster: c, patience: o.Patience, sessions: map[string]*session.Client{}}
	start := time.Now()
	if b.Mesh, err = o.Mesh.Install(ctx, c, o.Release); err != nil && o.Failed != nil {
		o.Failed(c)
	}
	b.Took = time.Since(start)
	if err == nil {
		err = b.greet(ctx)
	}
	if err != nil {
		undo, cancel := context.WithTimeout(context.Background(), o.Limit)
		defer cancel()
		return nil, errors.Join(err, c.Undo.Run(undo))
	}
	return b, nil
}

// greet opens the sessions and lets everybody serve.
func (b *Bed) greet(ctx context.Context) error {
	for _, r := range b.Ranges {
		for _, w := range r.Workloads {
			stream, err := b.Host.Stream(ctx, w)
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

// Session is that of a workload's probe.
func (b *Bed) Session(r clusters.Range, workload string) *session.Client {
	return b.sessions[r.Name+"/"+workload]
}

// Shared is a bed that tests share, since one takes seconds to make; they leave
// it healthy. The zero value has none yet.
type Shared[B any] struct {
	mu   sync.Mutex
	made []B // one at the most
}

// Or is the bed; it is made when there is none.
func (s *Shared[B]) Or(t testing.TB, make func() (B, error)) B {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.made) == 0 {
		b, err := make()
		if err != nil {
			t.Fatal(err)
		}
		s.made = append(s.made, b)
	}
	return s.made[0]
}

// Made is the bed; false when nobody wanted one.
func (s *Shared[B]) Made() (b B, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.made) == 0 {
		return b, false
	}
	return s.made[0], true
}
