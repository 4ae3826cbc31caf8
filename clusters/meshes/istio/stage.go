package istio

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// stage is a range as the mesh keeps it.
type stage struct {
	name     string
	ca       *identity.CA
	api      *kubeapi.Client
	writer   writer // of the policy's objects
	runtime  runtime
	platform platform
	pilot    pilot
	sidecars []*sidecar
	spent    *spent
	store    *signals.Store
	run      string
	settling meshes.Turn
	ended    sync.WaitGroup

	mu       sync.Mutex
	r        clusters.Range // with the public trust material
	policy   policy.Policy
	objects  map[string]written // what the API has of the policy, by kind and name
	revision int
	salt     string
	calm     bool            // whether the latest revision was seen settled
	known    map[string]kind // of the revisions
	latest   string          // revision of the policy that was asked for last
	running  bool            // istiod was started
	applied  aspects         // what of the policy is known to be applied, beside the objects
	awaited  time.Time       // when an istiod was started that not all proxies are known to have come to; zero: they have
}

// kind is what a revision was.
type kind int

const (
	unknown kind = iota
	applied
	withheld
	rotated
	lived // something began or ended on the platform, and was waited for
)

// newStage prepares a range. Its runtime says where it runs.
func (in *installed) newStage(r clusters.Range, ca *identity.CA, at runtime, on platform, by pilot) *stage {
	st := &stage{
		name: r.Name, ca: ca, api: in.api, runtime: at, platform: on, pilot: by, r: r, spent: &in.spent,
		store: signals.NewStore(), writer: in.api,
		run: in.run, applied: untouched(),
		settling: meshes.NewTurn(),
		objects:  map[string]written{}, known: map[string]kind{}, calm: true,
	}
	if in.writing != nil {
		st.writer = in.writing(in.api)
	}
	for _, w := range r.Workloads {
		if w.Meshed {
			st.sidecars = append(st.sidecars, &sidecar{workload: w, pace: at.pace})
		}
	}
	return st
}

// start makes the range's objects, its istiod and its sidecars, and waits
// until the sidecars are healthy.
func (st *stage) start(ctx, life context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"objects", st.populate},
		{"istiod", st.startPilot},
		{"sidecars", st.launch},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return err
		}
		st.spent.since(began, step.what)
	}
	st.follow(life)
	defer func(began time.Time) { st.spent.since(began, "healthy") }(time.Now())
	// Whether the policy is enforced is for the attacks to find out: a mesh that
	// enforces nothing comes up.
	return meshes.Each(st.sidecars, func(s *sidecar) error { return s.healthy(ctx, st.pilot) })
}

// populate makes all that is there before istiod, and denies everything.
func (st *stage) populate(ctx context.Context) error {
	if err := st.runtime.deploy(ctx); err != nil {
		return err
	}
	var all errgroup.Group
	for _, o := range standing(st.r, st.runtime.proxySettings()) {
		all.Go(func() error { return st.api.Apply(ctx, o) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	_, err := st.Apply(ctx, policy.Policy{MTLS: policy.Strict})
	return err
}

func (st *stage) startPilot(ctx context.Context) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.running = true
	return st.restartPilot(ctx)
}

// launch makes the proxies run, and says where they are.
func (st *stage) launch(ctx context.Context) error {
	r, proxies, err := st.runtime.launch(ctx)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.r.Workloads = r.Workloads
	for _, s := range st.sidecars {
		w, err := r.Workload(s.workload.Name)
		if err != nil {
			return err
		}
		s.runAt(w, proxies[w.Name])
	}
	return nil
}

// stop ends what reads along. The life that start was given has ended.
func (st *stage) stop() {
	st.ended.Wait()
	for _, s := range st.sidecars {
		s.admin.close()
	}
}

// next is the next revision. st.mu is held.
func (st *stage) next() clusters.Revision {
	st.revision++
	return clusters.Revision{ID: st.name + "-" + strconv.Itoa(st.revision), Asked: time.Now()}
}
