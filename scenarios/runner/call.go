package runner

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/session"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/signals"
	"github.com/meshbreach/meshbreach/scenarios"
)

// call makes a call and waits for its end, or for its effect where it lasts.
func (r *rangeRunner) call(ctx context.Context, c call) (assertions.Call, []assertions.Loot) {
	if c.lasts {
		return r.untilEffect(ctx, c)
	}
	made := assertions.Call{Role: c.role, From: c.from, Attack: c.attack.Name()}
	running, loot, err := r.start(ctx, c, func(o attacker.Observation) { made.Observations = append(made.Observations, o) })
	if err == nil {
		err = running.Wait(ctx)
	}
	if err != nil {
		made.Error = err.Error()
	}
	return made, loot
}

// start begins a call. What it observes is emitted until it has ended.
func (r *rangeRunner) start(ctx context.Context, c call, emit func(attacker.Observation)) (*session.Running, []assertions.Loot, error) {
	raw, loot, err := r.equip(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	to, err := r.Workload(c.target)
	if err != nil {
		return nil, loot, err
	}
	from, err := r.Workload(c.from)
	if err != nil {
		return nil, loot, err
	}
	client, ok := r.sessions[c.from]
	if !ok {
		return nil, loot, fmt.Errorf("no probe in %s", c.from)
	}
	authority := r.env.authority(r.Range)
	accounts, identities := everybody(r.Range, authority)
	running, err := client.Start(ctx, session.Attempt{
		Attack: c.attack.Name(), Foothold: c.from, Prefix: r.nonce(), Params: raw,
		Target: attacker.Target{
			Workload: to.Name, Address: to.Reached(from).String(), Host: to.Name + "." + to.Namespace, Identity: to.ID(),
			Authority: authority, Accounts: accounts, Identities: identities, Canaries: r.env.canaries(r.Range),
		},
	}, emit)
	return running, loot, err
}

// equip fetches the credentials that a call asks for and gives its parameters
// with them in.
func (r *rangeRunner) equip(ctx context.Context, c call) (json.RawMessage, []assertions.Loot, error) {
	if len(c.leaves)+len(c.tokens) == 0 {
		return c.raw, nil, nil
	}
	var loot []assertions.Loot
	for _, l := range c.leaves {
		note, err := r.leaf(ctx, l)
		if err != nil {
			return nil, nil, fmt.Errorf("leaf of %s: %w", l.Of, err)
		}
		if l.Of != "" {
			loot = append(loot, note)
		}
	}
	for _, t := range c.tokens {
		note, err := r.token(ctx, t)
		if err != nil {
			return nil, nil, fmt.Errorf("token of %s: %w", t.Of, err)
		}
		loot = append(loot, note)
	}
	raw, err := json.Marshal(c.params)
	return raw, loot, err
}

func (r *rangeRunner) leaf(ctx context.Context, l *attacker.Leaf) (assertions.Loot, error) {
	note := assertions.Loot{Kind: "leaf", Of: l.Of, Source: "minted"}
	if l.Of == "" {
		return note, nil
	}
	w, err := r.Workload(l.Of)
	if err != nil {
		return note, err
	}
	authority, err := r.env.mesh.Authority(r.Range)
	if err != nil {
		return note, err
	}
	var pair identity.KeyPair
	if l.Source == "copied" {
		note.Source = l.Source
		pair, err = authority.Delivered(ctx, w)
	} else {
		pair, err = authority.Leaf(ctx, identity.LeafRequest{
			Workload: w, NotBefore: fromNow(l.NotBefore), NotAfter: fromNow(l.NotAfter),
			Forged: l.Root == "forged", TrustDomain: l.TrustDomain,
		})
	}
	if err != nil {
		return note, err
	}
	if leaf, err := parseLeaf(pair.Chain); err == nil {
		note.Serial = leaf.SerialNumber.Text(16)
	}
	l.Held = &attacker.KeyPair{Chain: string(pair.Chain), Key: string(pair.Key)}
	return note, nil
}

func parseLeaf(chain []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil, fmt.Errorf("no certificate in the delivered chain")
	}
	return x509.ParseCertificate(block.Bytes)
}

func (r *rangeRunner) token(ctx context.Context, t *attacker.Token) (assertions.Loot, error) {
	note := assertions.Loot{Kind: "token", Of: t.Of, Source: "minted"}
	w, err := r.Workload(t.Of)
	if err != nil {
		return note, err
	}
	if t.Kind == scenarios.KindAccount {
		return r.accountToken(ctx, w, t)
	}
	authority, err := r.env.mesh.Authority(r.Range)
	if err != nil {
		return note, err
	}
	t.Held, err = authority.Token(ctx, identity.TokenRequest{
		Subject: w, Issuer: t.Issuer, Audience: t.Audience, Expires: fromNow(t.Expires), Starts: fromNow(t.Starts), Kid: t.Kid,
	})
	t.PublicPEM = r.Issuers["main"].PEM
	return note, err
}

// accountToken fetches a token of a workload's account.
func (r *rangeRunner) accountToken(ctx context.Context, w clusters.Workload, t *attacker.Token) (assertions.Loot, error) {
	note := assertions.Loot{Kind: "account-token", Of: t.Of}
	mesh, ok := r.env.mesh.(meshes.AccountTokens)
	if !ok {
		return note, fmt.Errorf("mesh %s knows no tokens of accounts", r.opts.Mesh.Describe().Name)
	}
	form := identity.AccountForm(t.Form)
	if t.Form == "bound" {
		form = identity.FormBound
	}
	var err error
	t.Held, note.Source, err = mesh.AccountToken(ctx, r.Range, identity.AccountTokenRequest{Of: w, Audience: t.Audience, Form: form, Expires: fromNow(t.Expires)})
	return note, err
}

func fromNow(d attacker.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(d))
}

// A lastingCall is one that runs until it is stopped.
type lastingCall struct {
	mu      sync.Mutex
	made    assertions.Call
	loot    []assertions.Loot
	running *session.Running // nil when it could not be started
	changed chan struct{}
}

func (r *rangeRunner) startLasting(ctx context.Context, c call) *lastingCall {
	l := &lastingCall{made: assertions.Call{Role: c.role, From: c.from, Attack: c.attack.Name()}, changed: make(chan struct{}, 1)}
	running, loot, err := r.start(ctx, c, func(o attacker.Observation) {
		l.mu.Lock()
		l.made.Observations = append(l.made.Observations, o)
		l.mu.Unlock()
		select {
		case l.changed <- struct{}{}:
		default:
		}
	})
	l.loot = loot
	if err != nil {
		l.made.Error = err.Error()
		return l
	}
	l.running = running
	return l
}

// observed is what it has observed so far.
func (l *lastingCall) observed() []attacker.Observation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.made.Observations)
}

// wait returns when n tries that began after since have ended, when the call
// has ended, or after a second: it may have lost its connection for good.
func (l *lastingCall) wait(ctx context.Context, n int, since time.Time) {
	if l.running == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	for {
		got := 0
		for _, o := range l.observed() {
			if o.Start.After(since) {
				got++
			}
		}
		if got >= n {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-l.running.Done():
			return
		case <-l.changed:
		}
	}
}

func (l *lastingCall) stop(ctx context.Context) (assertions.Call, []assertions.Loot) {
	var err error
	if l.running != nil {
		err = l.running.Stop(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.made.Error = err.Error()
	}
	// Fresh requests overlap and are told in the order in which they end.
	slices.SortStableFunc(l.made.Observations, func(a, b attacker.Observation) int { return a.Start.Compare(b.Start) })
	return l.made, l.loot
}

// lookEvery bounds one wait for a signal, after which receipts are looked at.
const lookEvery = 50 * time.Millisecond

// untilEffect makes a call whose effect comes after it was answered, when
// somebody else acts on what it left there. The call runs until a fact is known
// of every try, a receipt or a word of the authority, or until signals would be
// late. That nothing is known then is for the judge.
func (r *rangeRunner) untilEffect(ctx context.Context, c call) (assertions.Call, []assertions.Loot) {
	l := r.startLasting(ctx, c)
	limited, cancel := context.WithTimeout(ctx, r.evidenceLimit())
	defer cancel()
	for l.running != nil && len(l.observed()) == 0 && limited.Err() == nil {
		l.wait(limited, 1, time.Time{})
		if ended(l.running) {
			break
		}
	}
	for _, o := range l.observed() {
		for o.Refusal == nil && limited.Err() == nil && !r.effect(limited, o, c.showsAt) {
			// The signal that it waits for ends the wait; then it looks again.
		}
	}
	// An attempt that is told to stop leaves nothing, also when time is over.
	stopped, end := context.WithTimeout(context.WithoutCancel(ctx), r.evidenceLimit())
	defer end()
	return l.stop(stopped)
}

func ended(r *session.Running) bool {
	select {
	case <-r.Done():
		return true
	default:
		return false
	}
}

// effect says whether it is known what came of a try, and waits a little for it.
func (r *rangeRunner) effect(ctx context.Context, o attacker.Observation, showsAt string) bool {
	// What could not be read is read again with the receipts of the record, and
	// what is lost is remembered for it.
	_ = r.readReceipts(ctx)
	if slices.ContainsFunc(r.receipts[o.Nonce], func(x attacker.Receipt) bool { return showsAt == "" || x.Workload == showsAt }) {
		return true
	}
	if !r.can(meshes.CanSignal) {
		return !clusters.Pause(ctx, lookEvery)
	}
	spoke := func(found []signals.Signal) bool {
		return slices.ContainsFunc(found, func(s signals.Signal) bool { return s.Workload == signals.FromAuthority })
	}
	brief, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	found, err := r.env.mesh.Evidence(brief, r.Range, signals.Query{Nonces: []string{o.Nonce}, Since: o.Start, Want: spoke})
	return err != nil || spoke(found)
}
