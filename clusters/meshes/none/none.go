// Package none is the mesh that is not there: no proxy stands before anybody
// and nothing is enforced. Every attack must win on it, which is how the
// harness checks itself.
package none

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// Mesh is the mesh `none`.
type Mesh struct {
	Now func() time.Time // time.Now when nil
}

var _ meshes.Mesh = Mesh{}

// Render is nothing.
func (Mesh) Render(clusters.Range, policy.Policy) ([]meshes.Object, error) { return nil, nil }

// Install gives every range an authority and fills in its roots and issuers.
func (m Mesh) Install(ctx context.Context, c *clusters.Cluster, _ meshes.Release) (meshes.Installed, error) {
	now := m.Now
	if now == nil {
		now = time.Now
	}
	in := &installed{now: now, ranges: map[string]*identities{}}
	issuers := identity.NewIssuers()
	for i := range c.Ranges {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("install none: %w", err)
		}
		r := &c.Ranges[i]
		ca, err := identity.NewCA(r.TrustDomain, identity.CAOptions{Now: now, Issuers: issuers})
		if err != nil {
			return nil, fmt.Errorf("install none in %s: %w", r.Name, err)
		}
		if r.Roots, r.Issuers, err = ca.Public(); err != nil {
			return nil, fmt.Errorf("install none in %s: %w", r.Name, err)
		}
		ids := &identities{CA: ca, revise: in.revise, workloads: r.Workloads}
		if err := ids.deliver(); err != nil {
			return nil, fmt.Errorf("install none in %s: %w", r.Name, err)
		}
		in.ranges[r.Name] = ids
	}
	if err := launch(ctx, c); err != nil {
		return nil, fmt.Errorf("install none: %w", err)
	}
	return in, nil
}

// launch has the pods made where workloads are pods: a mesh would dress them,
// and this one leaves them as they are.
func launch(ctx context.Context, c *clusters.Cluster) error {
	host, ok := c.Host.(*kubernetes.Host)
	if !ok {
		return nil
	}
	g, gctx := errgroup.WithContext(ctx)
	for i := range c.Ranges {
		g.Go(func() error { return host.Launch(gctx, &c.Ranges[i], nil) })
	}
	return g.Wait()
}

type installed struct {
	now    func() time.Time
	ranges map[string]*identities // by range name

	mu   sync.Mutex
	last int // revision
}

func (in *installed) revise() clusters.Revision {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.last++
	return clusters.Revision{ID: fmt.Sprintf("none-%d", in.last), Asked: in.now()}
}

// Apply takes a policy and enforces nothing of it. The lifetime that it asks
// for is what leaves get from now on.
func (in *installed) Apply(_ context.Context, r clusters.Range, p policy.Policy) (clusters.Revision, error) {
	ids, ok := in.ranges[r.Name]
	if !ok {
		return clusters.Revision{}, fmt.Errorf("apply a policy: none was not installed in range %q", r.Name)
	}
	if err := ids.live(p.Identity.Leaf); err != nil {
		return clusters.Revision{}, fmt.Errorf("apply a policy in %s: %w", r.Name, err)
	}
	return in.revise(), nil
}

// Settled is at once: there is nothing to wait for.
func (in *installed) Settled(context.Context, clusters.Range, clusters.Revision) error { return nil }

// Evidence is nothing, at once: nobody watches.
func (in *installed) Evidence(context.Context, clusters.Range, signals.Query) ([]signals.Signal, error) {
	return nil, nil
}

// Authority is the range's, or nil where none was installed.
func (in *installed) Authority(r clusters.Range) (identity.Authority, error) {
	ids, ok := in.ranges[r.Name]
	if !ok {
		return nil, fmt.Errorf("no range %s in this mesh", r.Name)
	}
	return ids, nil
}

// identities is a range's authority. What it delivers lies ready to be copied
// and is used by nobody.
type identities struct {
	*identity.CA
	revise    func() clusters.Revision
	workloads []clusters.Workload

	mu       sync.Mutex
	lifetime time.Duration
}

// Rotate changes the authority and gives every workload a new leaf where the
// change calls for it.
func (ids *identities) Rotate(_ context.Context, what identity.Rotation) (clusters.Revision, error) {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if err := ids.CA.Rotate(what); err != nil {
		return clusters.Revision{}, err
	}
	switch what {
	case identity.RotateLeaf, identity.RotateIssuer, identity.UseRoot:
		if err := ids.deliver(); err != nil {
			return clusters.Revision{}, fmt.Errorf("rotate %s: %w", what, err)
		}
	}
	return ids.revise(), nil
}

// live sets how long leaves live, and replaces them when that changes. Under a
// stopped authority they stay as they are.
func (ids *identities) live(lifetime time.Duration) error {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if ids.lifetime == lifetime {
		return nil
	}
	ids.lifetime = lifetime
	if err := ids.deliver(); !errors.Is(err, identity.ErrStopped) {
		return err
	}
	return nil
}

func (ids *identities) deliver() error {
	for _, w := range ids.workloads {
		if !w.Meshed {
			continue
		}
		if _, err := ids.Issue(w, ids.lifetime); err != nil {
			return err
		}
	}
	return nil
}
