package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// collect completes a record: receipts, the window of a change, signals, and
// the alerts that detectors make of them.
func (r *rangeRunner) collect(ctx context.Context, p prepared, rec *assertions.Record, sandwich bool) {
	if err := r.readReceipts(ctx); err != nil {
		fault(rec, "%v", err)
	}
	if len(r.lost) > 0 {
		fault(rec, "%s", strings.Join(r.lost, "; "))
	}
	tries := rec.Tries.Observations
	all := slices.Clone(tries)
	for _, c := range slices.Concat(rec.Before, rec.After) {
		all = append(all, c.Observations...)
	}
	rec.Receipts = r.receiptsOf(all)
	if c := rec.Change; c != nil {
		c.Window = assertions.Measure(c.Asked, c.Settled, tries, r.receiptsOf(tries))
	}
	// Without honest calls around it nothing can be called blocked, so only
	// what a detector makes of it is worth waiting for.
	worth := sandwich || rec.Expect.Detected()
	if !worth || !r.can(meshes.CanSignal) || rec.Expect.Verdict == assertions.Undisturbed || assertions.Enough(*rec, nil) {
		return
	}
	if !rec.Expect.Detected() {
		all = tries // an alert may be a false one, for an honest call
	}
	r.gather(ctx, rec, all)
	rec.Alerts = detectors.Alerts(r.opts.Detectors, detectors.Input{
		Signals: rec.Signals, Range: r.Range, Policy: p.policy, Target: rec.Target, Settled: rec.Apply.Holds(),
	})
}

// gather waits for the signals of what was observed, until there are enough.
func (r *rangeRunner) gather(ctx context.Context, rec *assertions.Record, observed []attacker.Observation) {
	q := signals.Query{Since: since(*rec), Want: func(found []signals.Signal) bool { return assertions.Enough(*rec, found) }}
	for _, o := range observed {
		q.Nonces = append(append(q.Nonces, o.Nonce), o.LogKeys...)
		if o.Local.IsValid() {
			q.Sources = append(q.Sources, o.Local)
		}
		q.Sources = append(q.Sources, o.Related...)
	}
	limited, cancel := context.WithTimeout(ctx, r.evidenceLimit())
	defer cancel()
	found, err := r.env.mesh.Evidence(limited, r.Range, q)
	if err != nil {
		fault(rec, "evidence: %v", err)
	}
	rec.Signals = found
}

// since is when the first call of the record began.
func since(r assertions.Record) time.Time {
	for _, c := range append(slices.Clone(r.Before), r.Tries) {
		if len(c.Observations) > 0 {
			return c.Observations[0].Start
		}
	}
	return time.Time{}
}

// readReceipts reads the new receipts of everybody who serves. It keeps all that
// it could read, and notes what was lost before it was read.
func (r *rangeRunner) readReceipts(ctx context.Context) error {
	var errs []error
	for _, w := range r.Workloads {
		client := r.sessions[w.Name]
		if client == nil || !serves(w.Name) {
			continue
		}
		page, err := client.Receipts(ctx, r.read[w.Name])
		if err != nil {
			errs = append(errs, fmt.Errorf("receipts of %s: %w", w.Name, err))
			page.Last = r.read[w.Name] // the pages that came are kept
			if n := len(page.Items); n > 0 {
				page.Last = page.Items[n-1].Seq
			}
		}
		r.keep(w.Name, page)
	}
	return errors.Join(errs...)
}

// keep files a workload's receipts by their nonces.
func (r *rangeRunner) keep(workload string, page attacker.Receipts) {
	r.read[workload] = page.Last
	if page.Lost > 0 {
		r.lost = append(r.lost, fmt.Sprintf("%s lost %d receipts before they were read", workload, page.Lost))
	}
	for _, x := range page.Items {
		if x.Nonce == "" || isLoad(x.Nonce) {
			continue
		}
		x.Workload = workload
		r.receipts[x.Nonce] = append(r.receipts[x.Nonce], x)
	}
}

// receiptsOf are the receipts that carry the observations' nonces.
func (r *rangeRunner) receiptsOf(all []attacker.Observation) []attacker.Receipt {
	var out []attacker.Receipt
	for _, o := range all {
		out = append(out, r.receipts[o.Nonce]...)
	}
	return out
}

// sweep reads the receipts a last time. What it cannot see concerns every
// record of the range.
func (r *rangeRunner) sweep(ctx context.Context) {
	r.lost = nil
	err := r.readReceipts(ctx)
	for _, what := range r.lost {
		err = errors.Join(err, errors.New(what))
	}
	if err != nil {
		r.blind = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
}

// addLate adds receipts that were not there when an attempt was judged to its
// record.
func (res *result) addLate() {
	if res.on == nil {
		return
	}
	for i := range res.attempts {
		res.on.addLate(&res.attempts[i].record)
		for j := range res.attempts[i].trials {
			res.on.addLate(&res.attempts[i].trials[j].record)
		}
	}
}

func (r *rangeRunner) addLate(rec *assertions.Record) {
	if r.blind != "" {
		fault(rec, "the last sweep could not be made: %s", r.blind)
	}
	for _, n := range rec.Nonces() {
		for _, x := range r.receipts[n] {
			known := func(y attacker.Receipt) bool { return x.Epoch == y.Epoch && x.Seq == y.Seq }
			if !slices.ContainsFunc(rec.Receipts, known) {
				rec.Late = append(rec.Late, x)
			}
		}
	}
}
