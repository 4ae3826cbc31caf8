// Package existing runs workloads on a cluster that somebody else made, and
// only on one that says that it may be attacked.
package existing

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/rest"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// Options name a cluster and say what is done to it.
type Options struct {
	// Kubeconfig is a path; where it is empty it is found as kubectl does.
	Kubeconfig string
	// Context must be named: the current one is never taken by itself.
	Context string
	// Image is the reference of the probe's image, which the nodes have or can
	// pull.
	Image string
	// Load, where Image is empty, puts the probe on the nodes, whose owner is
	// at hand after all, and returns its image's reference.
	Load func(ctx context.Context, probe string) (string, error)
	// Roles are the ClusterRoles, YAML, with the rights that the run needs beside
	// Role: those of its mesh, and RoleAdmission where it makes policies of
	// admission. To Down they are those of any run.
	Roles [][]byte
	// ClusterWide is what the run makes outside of namespaces, a line a thing.
	ClusterWide []string
	// Note, which may be nil, is told what is about to be made, a line a call.
	Note func(string)
}

// A Provider runs workloads on the cluster that its options name.
type Provider struct{ Options }

var _ clusters.Provider = Provider{}

// Name is "existing".
func (Provider) Name() string { return "existing" }

// reachTime bounds everything that is asked before anything is made.
const reachTime = 20 * time.Second

// Up makes the namespaces of a run. Before that it looks whether the cluster
// agreed and whether our account has all the rights that the run needs: a
// *NoConsentError and a *NoRightsError made nothing.
func (p Provider) Up(ctx context.Context, spec clusters.Spec) (*clusters.Cluster, error) {
	config, err := p.Ready(ctx)
	if err != nil {
		return nil, err
	}
	if p.Image == "" && p.Load == nil {
		return nil, fmt.Errorf("context %s: name an image of the probe: meshbreach cannot put one on nodes that it does not own", p.Context)
	}
	if err := p.announce(config, spec); err != nil {
		return nil, err
	}
	image := p.Image
	if image == "" {
		if image, err = p.Load(ctx, spec.Probe); err != nil {
			return nil, fmt.Errorf("context %s: %w", p.Context, err)
		}
	}
	c, err := kubernetes.Up(ctx, kubernetes.Options{Config: config, Image: image}, spec)
	if err != nil {
		return nil, fmt.Errorf("context %s: %w", p.Context, err)
	}
	c.Provider = p.Name()
	// What is undone last looks whether everything was.
	made := c.Undo
	c.Undo = &clusters.Undo{}
	c.Undo.Push("context "+p.Context, func(ctx context.Context) error { return p.clean(ctx, config, spec.Name) })
	c.Undo.Push("run "+spec.Name, func(ctx context.Context) error { return p.undo(ctx, spec.Name, made.Run) })
	return c, nil
}

// Ready says how the cluster is reached once it is known that it may be
// attacked, and that we may do all that a run needs. It makes nothing.
func (p Provider) Ready(ctx context.Context) (*rest.Config, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	if err := p.consent(ctx, config); err != nil {
		return nil, err
	}
	return config, p.rights(ctx, config)
}

func (o Options) note(line string) {
	if o.Note != nil {
		o.Note(line)
	}
}
