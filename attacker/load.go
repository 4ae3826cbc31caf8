package attacker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// A Load is honest load at a constant rate.
type Load struct {
	Rate    int      `json:"rate"`              // requests a second in all; 0 is as fast as the workers go
	Workers int      `json:"workers,omitempty"` // default 2
	Fresh   int      `json:"fresh,omitempty"`   // of 100 requests, how many use a new connection each; the others keep theirs
	Timeout Duration `json:"timeout,omitempty"` // a request; 2 s when zero
	Request Request  `json:"request"`           // the request; Nonce is a prefix, the sequence number follows
	Limit   Duration `json:"limit,omitempty"`   // the load ends by itself after this; 10 minutes when zero
}

// LoadResult is what a load saw between start and stop.
type LoadResult struct {
	Start     time.Time     `json:"start"`
	End       time.Time     `json:"end"`
	Requests  uint64        `json:"requests"`
	Served    uint64        `json:"served"` // status 2xx
	Lost      uint64        `json:"lost"`   // anything else
	P50       time.Duration `json:"p50"`    // from the scheduled time, nanoseconds
	P95       time.Duration `json:"p95"`
	P99       time.Duration `json:"p99"`
	Max       time.Duration `json:"max"`
	Losses    []Loss        `json:"losses,omitempty"` // the first 100
	FreshSent uint64        `json:"freshSent"`
	KeptSent  uint64        `json:"keptSent"`
}

// A Loss is an honest request that was not served.
type Loss struct {
	At     time.Time `json:"at"` // scheduled time
	Seq    uint64    `json:"seq"`
	Status int       `json:"status,omitempty"`
	Why    string    `json:"why,omitempty"`
	Fresh  bool      `json:"fresh,omitempty"`
}

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

// Check returns an error if the load can never be made.
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

// StartLoad starts honest load and returns at once. The load ends with Stop,
// with ctx or at p.Limit, whichever comes first. At a constant rate it starts
// with p.Workers and adds workers when answers are late, so that the rate is
// kept. At rate 0 it uses exactly p.Workers. A load that cannot be made sends
// nothing, and Stop returns the error of Load.Check.
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

// Stop ends the load, waits for the requests in flight and returns the result.
// It fails when ctx ends first and when the load could not be made. It may be
// called again.
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

// Done is closed when the load has ended for any reason.
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

// honest sends the requests of a load. It numbers them and puts each on a kept
// or a fresh connection.
type honest struct {
	kept, fresh    *http.Transport
	method, scheme string
	target         *url.URL
	host, prefix   string
	header         http.Header
	percent        int
}

// vegetaSeq is where vegeta puts the number of a request.
const vegetaSeq = "X-Vegeta-Seq"

// errSentTwice is a loss: net/http hides the end of a kept connection by
// sending an idempotent request again, and a load must not hide it.
var errSentTwice = errors.New("the kept connection ended after the request was written, and the request was sent again")

func newHonest(f Foothold, p Load, connections int) *honest {
	k := p.Request
	h := &honest{method: orElse(k.Method, http.MethodGet), scheme: "http", host: orElse(k.Host, k.Address), prefix: k.Nonce, percent: p.Fresh}
	var secure *tls.Config
	if k.TLS != nil {
		h.scheme = "https"
		secure, _ = clientConfig(k) // Load.Check has seen that it can be made
	}
	h.target = &url.URL{Scheme: h.scheme, Host: k.Address, Opaque: "//" + h.host + orElse(k.Path, "/")}
	if k.Protocol != ProtocolHTTP2 {
		// HTTP/1.1 sends an opaque URL as it stands, so it has to be a path.
		h.target.Opaque = orElse(k.Path, "/")
	}
	h.header = http.Header{"User-Agent": nil}
	for _, name := range headerNames(k) {
		h.header[name] = k.Headers[name]
	}
	h.kept, h.fresh = h.transport(f, k, secure, connections), h.transport(f, k, secure, connections)
	h.fresh.DisableKeepAlives = true
	return h
}

func (h *honest) transport(f Foothold, k Request, secure *tls.Config, connections int) *http.Transport {
	dial := f.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	protocols := new(http.Protocols)
	if k.Protocol == ProtocolHTTP2 {
		protocols.SetHTTP2(k.TLS != nil)
		protocols.SetUnencryptedHTTP2(k.TLS == nil)
	} else {
		protocols.SetHTTP1(true)
	}
	if secure != nil {
		secure = secure.Clone()
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dial(ctx, network, k.Address)
		},
		TLSClientConfig:     secure,
		Protocols:           protocols,
		DisableCompression:  true,
		MaxIdleConnsPerHost: connections,
		IdleConnTimeout:     time.Minute,
	}
}

// RoundTrip sends what vegeta made. The request belongs to one call only, so
// it is changed in place.
func (h *honest) RoundTrip(req *http.Request) (*http.Response, error) {
	seq, err := strconv.ParseUint(req.Header.Get(vegetaSeq), 10, 64)
	if err != nil {
		return nil, err
	}
	header := make(http.Header, len(h.header)+1)
	for name, values := range h.header {
		header[name] = values
	}
	header[HeaderNonce] = []string{nonceOf(h.prefix, seq)}
	req.Method, req.URL, req.Host, req.Header = h.method, h.target, h.host, header
	if isFresh(seq, h.percent) {
		return h.fresh.RoundTrip(req)
	}
	return h.once(req)
}

// once makes a request that was written twice a loss.
func (h *honest) once(req *http.Request) (*http.Response, error) {
	var writes atomic.Int32
	trace := &httptrace.ClientTrace{WroteHeaders: func() { writes.Add(1) }}
	resp, err := h.kept.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err == nil && writes.Load() > 1 {
		_ = resp.Body.Close()
		return nil, errSentTwice
	}
	return resp, err
}

func (h *honest) close() {
	h.kept.CloseIdleConnections()
	h.fresh.CloseIdleConnections()
}
