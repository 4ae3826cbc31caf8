package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/session"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// An environment is a mesh that runs, with a session to every probe.
type environment struct {
	cluster *clusters.Cluster
	mesh    meshes.Installed
	ranges  []*rangeRunner
}

// up makes a cluster and a mesh on it. What was made before something failed
// is taken back.
func up(ctx context.Context, o Options) (*environment, error) {
	w := newWatch(o)
	defer w.end()
	w.starts(fmt.Sprintf("%d test environments on %s", o.Parallel, o.Provider.Name()))
	c, err := o.Provider.Up(ctx, clusters.Spec{Name: o.ID, Ranges: o.Parallel, Probe: o.Probe})
	if err != nil {
		return nil, fmt.Errorf("set up %s: %w", o.Provider.Name(), err)
	}
	env := &environment{cluster: c}
	if err := env.install(ctx, o, w); err != nil {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
		defer cancel()
		return nil, errors.Join(err, env.close(limited))
	}
	return env, nil
}

// install puts the mesh on the cluster and connects to the probes. All programs
// are there by now, so there is a limit.
func (env *environment) install(ctx context.Context, o Options, w *watch) error {
	late := fmt.Errorf("mesh %s is not up after %s", o.Mesh.Describe().Name, o.UpTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, o.UpTimeout, late)
	defer cancel()
	w.starts("mesh " + o.Mesh.Describe().Name)
	var err error
	if env.mesh, err = o.Mesh.Install(ctx, env.cluster, o.Release); err != nil {
		return because(ctx, late, fmt.Errorf("install mesh %s: %w", o.Mesh.Describe().Name, err))
	}
	able := o.Mesh.Describe().Can(o.Release)
	if here, ok := env.mesh.(meshes.Proven); ok {
		able = here.Capabilities()
	}
	w.starts("sessions with the probes")
	for _, in := range env.cluster.Ranges {
		r := &rangeRunner{
			Range: in, opts: o, env: env, able: able,
			receipts: map[string][]attacker.Receipt{}, read: map[string]uint64{}, longest: map[string]time.Duration{},
		}
		env.ranges = append(env.ranges, r)
		if r.sessions, err = connect(ctx, env.cluster, in); err != nil {
			return because(ctx, late, err)
		}
	}
	return nil
}

// because puts in front of an error that the set-up was ended at its limit.
func because(ctx context.Context, late, err error) error {
	if !errors.Is(context.Cause(ctx), late) || errors.Is(err, late) {
		return err
	}
	return fmt.Errorf("%w: %w", late, err)
}

// waitingEvery is how often a set-up says what it waits for.
const waitingEvery = 10 * time.Second

// A watch says, every ten seconds, what a set-up waits for.
type watch struct {
	progress Progress
	quit     chan struct{}
	quiet    sync.WaitGroup

	mu    sync.Mutex
	doing string // what is being made
	since time.Time
}

func newWatch(o Options) *watch {
	w := &watch{progress: o.Progress, quit: make(chan struct{})}
	if w.progress == nil {
		return w
	}
	w.quiet.Go(func() {
		tick := time.NewTicker(waitingEvery)
		defer tick.Stop()
		for {
			select {
			case <-w.quit:
				return
			case <-tick.C:
				w.say()
			}
		}
	})
	return w
}

func (w *watch) starts(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doing, w.since = what, time.Now()
	if w.progress != nil {
		w.progress.Up(what)
	}
}

func (w *watch) say() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress.Waiting(fmt.Sprintf("%s (%s so far)", w.doing, time.Since(w.since).Round(time.Second)))
}

func (w *watch) end() {
	close(w.quit)
	w.quiet.Wait()
}

// connect opens the session of every workload in a range and lets the targets
// serve.
func connect(ctx context.Context, c *clusters.Cluster, r clusters.Range) (map[string]*session.Client, error) {
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		errs []error
		out  = map[string]*session.Client{}
	)
	for _, w := range r.Workloads {
		wg.Go(func() {
			client, err := hello(ctx, c, w)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("probe of %s in %s: %w", w.Name, r.Name, err))
				return
			}
			out[w.Name] = client
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

func hello(ctx context.Context, c *clusters.Cluster, w clusters.Workload) (*session.Client, error) {
	stream, err := c.Host.Stream(ctx, w)
	if err != nil {
		return nil, err
	}
	client := session.Connect(stream)
	c.Undo.Push("session of "+w.Range+"/"+w.Name, func(context.Context) error {
		_ = client.Close() // the probe is ended next, whatever the stream says
		return nil
	})
	if _, err := client.Hello(ctx); err != nil {
		return nil, err
	}
	if !serves(w.Name) {
		return client, nil
	}
	return client, client.Serve(ctx, []attacker.Listen{
		{Port: clusters.PortHTTP, Protocol: "http"}, {Port: clusters.PortHealth, Protocol: "http"},
		{Port: clusters.PortAdmin, Protocol: "http"}, {Port: clusters.PortTCP, Protocol: "tcp"}, {Port: clusters.PortOpaque, Protocol: "tcp"},
	})
}

func serves(name string) bool {
	return slices.ContainsFunc(clusters.Cast(), func(m clusters.Member) bool { return m.Name == name && m.Serves })
}

func (env *environment) close(ctx context.Context) error { return env.cluster.Undo.Run(ctx) }

// sweep collects the receipts of all ranges a last time: of requests that came
// late, for example on a connection that a proxy kept.
func (env *environment) sweep(ctx context.Context) {
	var wg sync.WaitGroup
	for _, r := range env.ranges {
		wg.Go(func() {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.evidenceLimit())
			defer cancel()
			r.sweep(limited)
		})
	}
	wg.Wait()
}

// patience is how long a change may take: what it takes on most meshes, or what
// this one asks for.
func (env *environment) patience(usual time.Duration) time.Duration {
	if m, ok := env.mesh.(meshes.Patient); ok {
		return max(usual, m.Patience())
	}
	return usual
}

// canaries are what answers are searched for; nil where the mesh planted none.
func (env *environment) canaries(r clusters.Range) map[string][]string {
	mesh, ok := env.mesh.(meshes.Planted)
	if !ok {
		return nil
	}
	return mesh.Canaries(r)
}

// authority is where workloads of a range ask for leaves; nil where they ask
// nobody. The conversion does not compile when a field of one type is not in the
// other.
func (env *environment) authority(r clusters.Range) *attacker.Authority {
	mesh, ok := env.mesh.(meshes.Issuing)
	if !ok {
		return nil
	}
	out := attacker.Authority(mesh.Endpoint(r))
	return &out
}

// everybody is what is known of everybody in a range: the accounts and the
// identities by cast name, with the control plane's own.
func everybody(r clusters.Range, authority *attacker.Authority) (accounts, identities map[string]string) {
	accounts, identities = map[string]string{}, map[string]string{}
	for _, w := range r.Workloads {
		identities[w.Name] = w.ID()
		accounts[w.Name] = w.Namespace + "/" + w.Account
	}
	if authority != nil && authority.Identity != "" {
		identities[signals.FromAuthority] = authority.Identity
	}
	return accounts, identities
}

// runsPods says whether somebody runs what is submitted to the platform.
func (env *environment) runsPods(r clusters.Range) bool {
	a := env.authority(r)
	return a != nil && a.PodImage != ""
}

// A Standing is a mesh that runs and that nobody attacks.
type Standing struct {
	Ranges []clusters.Range
	host   clusters.Host
}

// Network is the file descriptor in this process that holds a workload's
// network namespace; false where the provider has none.
func (s Standing) Network(w clusters.Workload) (int, bool) {
	h, ok := s.host.(interface {
		Network(w clusters.Workload) (int, error)
	})
	if !ok {
		return 0, false
	}
	fd, err := h.Network(w)
	return fd, err == nil
}

// Stand makes a mesh with the policy of the first scenario in every range,
// calls ready once that policy is settled, and takes everything back when ctx
// ends, which is no error.
func Stand(ctx context.Context, o Options, ready func(Standing) error) (err error) {
	if len(o.Scenarios) == 0 {
		return errors.New("a standing mesh needs the policy of a scenario")
	}
	ranges := o.Parallel
	o = o.withDefaults()
	o.Parallel = max(1, ranges) // one policy does for any number of ranges
	env, err := up(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		down, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
		defer cancel()
		err = errors.Join(err, env.close(down))
	}()
	s := o.Scenarios[0]
	for _, r := range env.ranges {
		if c := r.apply(ctx, s, s.Policy); c.Error != "" {
			return fmt.Errorf("apply the policy of %s in %s: %s", s.ID, r.Name, c.Error)
		}
	}
	if err := ready(Standing{env.cluster.Ranges, env.cluster.Host}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
