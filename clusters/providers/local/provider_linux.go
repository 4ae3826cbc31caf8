package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
)

// undoTime bounds the undo of a cluster that could not be made.
const undoTime = 10 * time.Second

// stagesAtOnce bounds how many ranges are made side by side. Each takes eight
// threads that mostly wait for one lock of the kernel.
const stagesAtOnce = 4

// carrierTime bounds the wait for links that were set up to carry.
const carrierTime = 5 * time.Second

// Up makes spec.Ranges ranges r1, r2, ... with the whole cast and a running
// probe each, whose log is RANGE.WORKLOAD.probe.log in scratch. It must be called in the process that Reexec started. Ranges
// share nothing, several clusters may be up in one process, and what is up is
// gone with Cluster.Undo or with the process.
func (Provider) Up(ctx context.Context, spec clusters.Spec) (*clusters.Cluster, error) {
	if spec.Ranges < 1 || spec.Ranges > maxRanges {
		return nil, fmt.Errorf("%d ranges: local makes 1 to %d", spec.Ranges, maxRanges)
	}
	if spec.Name == "" || filepath.Base(spec.Name) != spec.Name || !filepath.IsLocal(spec.Name) || spec.Name == "." {
		return nil, fmt.Errorf("cluster name %q is not a plain word", spec.Name)
	}
	root, err := prepare()
	if err != nil {
		return nil, err
	}
	h := &host{scratch: filepath.Join(root, spec.Name), seats: map[string]*seat{}, stages: map[string]*stage{}}
	h.control = newControl(h.scratch)
	if err := os.Mkdir(h.scratch, 0o700); err != nil {
		return nil, fmt.Errorf("scratch of cluster %s: %w", spec.Name, err)
	}
	c := &clusters.Cluster{Name: spec.Name, Provider: "local", Host: h, Undo: &clusters.Undo{}}
	c.Undo.Push("scratch "+h.scratch, func(context.Context) error { return os.RemoveAll(h.scratch) })

	stages := make([]*stage, spec.Ranges)
	for i := range stages {
		stages[i] = newStage(spec, i+1)
		c.Ranges = append(c.Ranges, stages[i].public())
		for _, s := range stages[i].seats {
			h.seats[place(s.workload)] = s
		}
		h.stages[stages[i].name] = stages[i]
		c.Undo.Push("range "+stages[i].name, stages[i].close)
	}
	c.Undo.Push("control network", h.control.close)
	b := builder{probe: spec.Probe, hide: root, scratch: h.scratch}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(stagesAtOnce)
	for _, st := range stages {
		g.Go(func() error { return b.stage(gctx, st) })
	}
	if err := g.Wait(); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("cluster %s: %w", spec.Name, err), c.Undo.Run(undo))
	}
	return c, nil
}

// stage is a range in the making.
type stage struct {
	name   string
	number int
	hub    *space // where the bridge is
	seats  []*seat
}

func newStage(spec clusters.Spec, number int) *stage {
	st := &stage{name: "r" + strconv.Itoa(number), number: number}
	for n, m := range clusters.Cast() {
		w := clusters.Workload{
			Name:        m.Name,
			Range:       st.name,
			Cluster:     spec.Name,
			TrustDomain: st.domain(),
			Namespace:   m.Namespace,
			Account:     m.Account,
			Meshed:      m.Meshed,
			Address:     address(number, n),
		}
		if m.Meshed {
			w.Hops = []clusters.Hop{clusters.HopSidecar}
		}
		st.seats = append(st.seats, &seat{workload: w, spared: controlAddress(number)})
	}
	return st
}

func (st *stage) domain() string { return st.name + ".meshbreach.test" }

func (st *stage) public() clusters.Range {
	r := clusters.Range{Name: st.name, TrustDomain: st.domain()}
	for _, s := range st.seats {
		r.Workloads = append(r.Workloads, s.workload)
	}
	return r
}

// close ends everything in the range, all workloads at once.
func (st *stage) close(ctx context.Context) error {
	errs := make([]error, len(st.seats)+1)
	var g errgroup.Group
	for i, s := range st.seats {
		g.Go(func() error {
			errs[i] = s.close(ctx)
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs: all of them are wanted
	if st.hub != nil {
		errs[len(st.seats)] = st.hub.close()
	}
	return errors.Join(errs...)
}

// builder makes stages.
type builder struct {
	probe   string
	hide    string // what a probe must not see
	scratch string
}

func (b builder) stage(ctx context.Context, st *stage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var spaces errgroup.Group
	spaces.Go(func() (err error) {
		st.hub, err = newSpace()
		return err
	})
	for _, s := range st.seats {
		spaces.Go(func() (err error) {
			s.space, err = newSpace()
			return err
		})
	}
	if err := spaces.Wait(); err != nil {
		return err
	}
	if err := wire(st.hub, st.seats); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, s := range st.seats {
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return err
			}
			if err := settle(s); err != nil {
				return err
			}
			return b.seat(s)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, carrierTime)
	defer cancel()
	for _, s := range st.seats {
		if err := carried(ctx, s.space); err != nil {
			return err
		}
	}
	return carried(ctx, st.hub)
}

// seat starts the probe, with an empty environment and nothing of ours open
// but its stream.
func (b builder) seat(s *seat) error {
	ours, stdin, stdout, err := newStream()
	if err != nil {
		return err
	}
	p, err := start(s.space, launch{
		what:    "probe of " + place(s.workload),
		command: []string{b.probe, "-hide", b.hide},
		env:     []string{},
		stdin:   stdin,
		stdout:  stdout,
		log:     filepath.Join(b.scratch, fileName(s.workload)+".probe.log"),
		spaces:  unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	})
	// The probe has its own copies; ours would keep the stream from ending.
	err = errors.Join(err, stdin.Close(), stdout.Close())
	s.stream, s.probe = ours, p
	return err
}
