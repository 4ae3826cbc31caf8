// Package kind runs workloads on Kubernetes clusters whose nodes are
// containers of this machine's engine, which it makes, finds and takes away.
package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// Options say which cluster. The zero value is one of the run's own, with one
// node of kind's default image, taken away at the end.
type Options struct {
	// Name is that of a cluster that may be there from an earlier run, which is
	// then used and left alone. The engine knows it as meshbreach-NAME. Where
	// it is empty the run makes a cluster with its own name.
	Name string
	// Image of a node; where it is empty, one of KubernetesVersion.
	Image string
	// KubernetesVersion such as 1.36.3; where it is empty, that of kind's own
	// default image, or the newest that the engine has.
	KubernetesVersion string
	// Nodes of a cluster that is made; one when zero. The first is the control
	// plane, and takes workloads only when it is alone.
	Nodes int
	// Keep leaves a cluster that was made.
	Keep bool
	// LogDir takes the nodes' logs when a cluster cannot be made.
	LogDir string
	// Note, which may be nil, is told what takes long.
	Note func(string)
}

// A Provider runs workloads on the cluster that its options name.
type Provider struct{ Options }

var _ clusters.Provider = Provider{}

// Name is "kind".
func (Provider) Name() string { return "kind" }

// prefix begins the names of the clusters that we make.
const prefix = "meshbreach-"

const (
	// readyTime bounds the questions to the engine before anything is made.
	readyTime = 15 * time.Second
	// undoTime bounds the undo of a cluster that could not be made.
	undoTime = time.Minute
)

// Ready is an error, with what can be done about it, where no cluster can be
// made or found: there is no engine, or it does not answer this user, or it
// has no room. It makes nothing.
func (p Provider) Ready(ctx context.Context) error {
	_, err := p.ready(ctx)
	return err
}

// Answers is an error, with what can be done about it, where no container
// engine answers this user.
func Answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	_, err := engine{}.state(ctx)
	return err
}

func (p Provider) ready(ctx context.Context) (state, error) {
	if err := p.check(); err != nil {
		return state{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	s, err := engine{}.state(ctx)
	if err != nil {
		return s, err
	}
	return s, room(s.Root, roomWanted)
}

// check says what is wrong with the options.
func (o Options) check() error {
	if o.Nodes < 0 {
		return fmt.Errorf("%d nodes: a cluster needs at least one", o.Nodes)
	}
	if o.KubernetesVersion != "" && !versions().MatchString(o.KubernetesVersion) {
		return fmt.Errorf("kubernetes version %q is not a version such as 1.36.3", o.KubernetesVersion)
	}
	if o.Name == "" {
		return nil
	}
	return named(o.Name)
}

// named is an error for a name that no cluster can have: its nodes are hosts
// of that name.
func named(name string) error {
	if wrong := validation.IsDNS1123Label(prefix + name + "-control-plane"); len(wrong) > 0 {
		return fmt.Errorf("cluster name %q: %s", name, strings.Join(wrong, "; "))
	}
	return nil
}

// Up makes or finds the cluster and the ranges' namespaces on it. What the
// cluster's Undo takes away last is the cluster itself, unless it is kept or
// was there before.
func (p Provider) Up(ctx context.Context, spec clusters.Spec) (*clusters.Cluster, error) {
	name := p.Options.Name
	if name == "" {
		name = spec.Name
	}
	if err := named(name); err != nil {
		return nil, err
	}
	s, err := p.ready(ctx)
	if err != nil {
		return nil, err
	}
	undo := &clusters.Undo{}
	c, err := p.up(ctx, prefix+name, s, spec, undo)
	if err == nil {
		return c, nil
	}
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	return nil, errors.Join(fmt.Errorf("cluster %s: %w", prefix+name, err), undo.Run(again))
}

func (p Provider) up(ctx context.Context, name string, s state, spec clusters.Spec, undo *clusters.Undo) (*clusters.Cluster, error) {
	dir, err := os.MkdirTemp("", "meshbreach-kind-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder: the system takes away what we cannot
	var ref string
	var k *cluster
	archive := filepath.Join(dir, "probe.tar")
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		ref, err = kubernetes.Image(spec.Probe, archive)
		return err
	})
	g.Go(func() (err error) {
		k, err = p.cluster(gctx, name, s, undo)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := k.loadArchive(ctx, ref, archive); err != nil {
		return nil, err
	}
	config, err := k.config()
	if err != nil {
		return nil, err
	}
	c, err := kubernetes.Up(ctx, kubernetes.Options{Config: config, Image: ref, Nodes: k}, spec)
	if err != nil {
		return nil, err
	}
	made := c.Undo
	undo.Push("run "+spec.Name+" on "+name, made.Run)
	c.Undo, c.Provider = undo, p.Name()
	return c, nil
}

// cluster finds the cluster or makes it.
func (p Provider) cluster(ctx context.Context, name string, s state, undo *clusters.Undo) (*cluster, error) {
	h, there, err := occupy(ctx, name)
	if err != nil {
		return nil, err
	}
	undo.Push("use of "+name, func(context.Context) error { return h.leave() })
	switch {
	case there != nil:
		return p.found(ctx, name, *there, h)
	case !h.alone:
		return nil, errors.New("another meshbreach is about to remove it")
	}
	p.note("making cluster " + name)
	start := time.Now()
	k, err := p.create(ctx, name, s, h)
	if err != nil {
		// Half a cluster is nothing to keep.
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		return nil, errors.Join(err, remove(again, name), h.remove())
	}
	if !p.Keep {
		// Others may use one that has a name, and then it stays.
		k.passes = p.Options.Name == ""
		undo.Push("cluster "+name, func(ctx context.Context) error { return p.takeAway(ctx, name, h) })
	}
	p.note(fmt.Sprintf("cluster %s is there after %s", name, time.Since(start).Round(time.Second)))
	return k, h.share()
}

// occupy locks the home of a cluster and says whether the cluster is there. One
// that has our name and that we did not make is an error.
func occupy(ctx context.Context, name string) (*home, *Cluster, error) {
	dir, err := homeOf(name)
	if err != nil {
		return nil, nil, err
	}
	before, err := list(ctx)
	if err != nil {
		return nil, nil, err
	}
	if there, ok := before[name]; ok && !there.ours {
		return nil, nil, errors.New("it exists already, and meshbreach did not create it; provider existing attacks clusters that have agreed to it")
	} else if ok {
		// Whoever made it may have had another cache.
		dir = filepath.Dir(there.policy)
	}
	h, err := settle(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	// Only now it neither comes nor goes.
	now, err := list(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, h.leave())
	}
	there, ok := now[name]
	switch {
	case !ok:
		return h, nil, nil
	case there.policy != h.policy():
		return nil, nil, errors.Join(errors.New("another meshbreach has just created it; try again"), h.leave())
	}
	return h, &there, nil
}

// takeAway removes a cluster that we made, unless it has new users.
func (p Provider) takeAway(ctx context.Context, name string, h *home) error {
	if h.others() {
		p.note("cluster " + name + " stays: another meshbreach uses it; meshbreach down takes it away after that")
		return nil
	}
	if err := remove(ctx, name); err != nil {
		return err
	}
	return h.remove()
}

// found is a cluster of ours that was there before.
func (p Provider) found(ctx context.Context, name string, there Cluster, h *home) (*cluster, error) {
	short := there.Name
	if !there.Running {
		return nil, fmt.Errorf("not all of its nodes run; start their containers, or remove it with meshbreach down %s", short)
	}
	k, err := open(name, p.note)
	if err != nil {
		return nil, err
	}
	version, err := k.version(ctx)
	if err != nil {
		return nil, err
	}
	if asked := strings.TrimPrefix(p.KubernetesVersion, "v"); asked != "" && asked != version {
		return nil, fmt.Errorf("it runs Kubernetes %s, not %s; use another name, or remove it with meshbreach down %s", version, asked, short)
	}
	p.note("using cluster " + name + ", which was there, with Kubernetes " + version)
	return k, h.share()
}

func (o Options) note(text string) {
	if o.Note != nil {
		o.Note(text)
	}
}
