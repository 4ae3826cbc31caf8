package attacker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

const (
	defaultWorkers = 2
	defaultLimit   = 10 * time.Minute
	maxLosses      = 100
	mostWorkers    = 512
	// mostGrown bounds how far a constant rate may grow its workers by itself.
	// Each new one opens a connection: with many, a busy machine would lose
	// honest requests to the handshakes of the load. What waits for a worker
	// is late and counted as late, not left out.
	mostGrown = 32
)

// RunningLoad is a load under way; see StartLoad.
type RunningLoad struct {
	vegeta *vegeta.Attacker
	client *honest
	done   chan struct{}
	result LoadResult // complete when done is closed
	err    error      // why it could not be made
}

// Check says whether the load can be made at all.
func (p Load) Check() error {
	switch {
	case p.Rate < 0 || p.Workers < 0:
		return errors.New("load: rate and workers are not negative")
	case p.Workers > mostWorkers:
		return fmt.Errorf("load: at most %d workers", mostWorkers)
	case p.Fresh < 0 || p.Fresh > 100:
		return errors.New("load: fresh is a percentage")
	}
	if proto := p.Request.Protocol; proto != "" && proto != ProtocolHTTP1 && proto != ProtocolHTTP2 {
		return fmt.Errorf("load: protocol %q is neither http1 nor http2", proto)
	}
	return p.Request.Check()
}

// StartLoad begins honest load and returns at once. The load ends with Stop,
// with ctx or at p.Limit, whichever is first. At a constant rate p.Workers is
// where it starts: it takes more when answers are late, so that the rate holds;
// at rate 0 it is exactly p.Workers. A load that cannot be made sends nothing,
// and Stop returns the error of Load.Check.
func StartLoad(ctx context.Context, f Foothold, p Load) *RunningLoad {
	timeout := time.Duration(p.Timeout)
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	limit := time.Duration(p.Limit)
	if limit <= 0 {
		limit = defaultLimit
	}
	workers := uint64(defaultWorkers)
	if p.Workers > 0 {
		workers = uint64(p.Workers)
	}
	most := workers
	if p.Rate > 0 {
		most = max(workers, mostGrown)
	}
	r := &RunningLoad{done: make(chan struct{}), result: LoadResult{Start: f.now()}}
	if r.err = p.Check(); r.err != nil {
		r.result.End = r.result.Start
		close(r.done)
		return r
	}
	r.client = newHonest(f, p, int(most))
	r.vegeta = vegeta.NewAttacker(
		vegeta.Client(&http.Client{
			Transport:     r.client,
			Timeout:       timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		vegeta.Workers(workers), vegeta.MaxWorkers(most), vegeta.MaxBody(0),
	)
	// Only the address is in the URL that vegeta sees: it quotes the URL in its
	// errors, and a query may hold a token.
	target := vegeta.NewStaticTargeter(vegeta.Target{Method: r.client.method, URL: r.client.scheme + "://" + p.Request.Address, Body: []byte(p.Request.Body)})
	began := time.Now()
	results := r.vegeta.Attack(target, vegeta.ConstantPacer{Freq: p.Rate, Per: time.Second}, limit, "")
	go r.collect(ctx, f, p, began, results)
	return r
}

// Stop ends the load, waits for the requests in flight and says what the
// load saw. It fails when ctx ends first and when the load could not be made.
// It may be called again.
func (r *RunningLoad) Stop(ctx context.Context) (LoadResult, error) {
	if r.vegeta != nil {
		r.vegeta.Stop()
	}
	select {
	case <-r.done:
		return r.result, r.err
	case <-ctx.Done():
		return LoadResult{}, fmt.Errorf("stop load: %w", context.Cause(ctx))
	}
}

// Done is closed when the load has ended, by whatever cause.
func (r *RunningLoad) Done() <-chan struct{} { return r.done }

// collect reads results until vegeta has no request in flight any more.
func (r *RunningLoad) collect(ctx context.Context, f Foothold, p Load, began time.Time, results <-chan *vegeta.Result) {
	defer context.AfterFunc(ctx, func() { r.vegeta.Stop() })()
	var latency vegeta.LatencyMetrics
	for res := range results {
		// Vegeta's clock starts at dispatch; a request that waited for a free
		// worker was due earlier.
		due := res.Timestamp
		if p.Rate > 0 {
			due = began.Add(time.Duration(float64(res.Seq) / float64(p.Rate) * float64(time.Second)))
		}
		latency.Add(res.Timestamp.Add(res.Latency).Sub(due))
		r.count(p, res, due)
	}
	out := &r.result
	if out.Requests > 0 {
		out.P50, out.P95, out.P99, out.Max = latency.Quantile(0.50), latency.Quantile(0.95), latency.Quantile(0.99), latency.Max
	}
	out.End = f.now()
	r.client.close()
	close(r.done)
}

func (r *RunningLoad) count(p Load, res *vegeta.Result, due time.Time) {
	out := &r.result
	fresh := isFresh(res.Seq, p.Fresh)
	out.Requests++
	if fresh {
		out.FreshSent++
	} else {
		out.KeptSent++
	}
	// The body is not part of it: vegeta has an error for what came short.
	if res.Code >= 200 && res.Code <= 299 && res.Error == "" {
		out.Served++
		return
	}
	out.Lost++
	if len(out.Losses) < maxLosses {
		why := orElse(res.Error, "status "+strconv.Itoa(int(res.Code)))
		out.Losses = append(out.Losses, Loss{At: due, Seq: res.Seq, Status: int(res.Code), Why: clip(why), Fresh: fresh})
	}
}

// isFresh spreads the given percentage evenly over the sequence.
func isFresh(seq uint64, percent int) bool {
	p := uint64(percent)
	return (seq+1)*p/100 != seq*p/100
}

// nonceOf is the nonce of a numbered request.
func nonceOf(prefix string, seq uint64) string {
	return prefix + "-" + strconv.FormatUint(seq, 10)
}
