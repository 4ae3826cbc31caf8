package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/session"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/scenarios"
)

// call makes one use of an attack and waits for its end, or for its effect
// where the attack lasts.
func (p *player) call(ctx context.Context, target string, u use) (assertions.Call, []assertions.Loot) {
	if lasting(u.attack, u.with) {
		return p.awaited(ctx, target, u)
	}
	c := assertions.Call{Role: u.role, From: u.from, Attack: u.attack}
	running, loot, err := p.start(ctx, target, u, func(o attacker.Observation) { c.Observations = append(c.Observations, o) })
	if err == nil {
		err = running.Wait(ctx)
	}
	if err != nil {
		c.Error = err.Error()
	}
	return c, loot
}

// start begins a use. What it observes is emitted until it has ended.
func (p *player) start(ctx context.Context, target string, u use, emit func(attacker.Observation)) (*session.Running, []assertions.Loot, error) {
	raw, loot, err := p.equip(ctx, u.attack, u.with)
	if err != nil {
		return nil, nil, err
	}
	t, err := p.rg.Workload(target)
	if err != nil {
		return nil, loot, err
	}
	from, err := p.rg.Workload(u.from)
	if err != nil {
		return nil, loot, err
	}
	client, ok := p.sessions[u.from]
	if !ok {
		return nil, loot, fmt.Errorf("no probe in %s", u.from)
	}
	authority := p.authority()
	accounts, identities := p.everybody(authority)
	running, err := client.Start(ctx, session.Attempt{
		Attack: u.attack, Foothold: u.from, Prefix: fmt.Sprintf("%s-%s-%d", p.opts.ID, p.rg.Name, p.next()), Params: raw,
		Target: attacker.Target{
			Workload: t.Name, Address: t.Reached(from).String(), Host: t.Name + "." + t.Namespace, Identity: t.ID(), Canaries: p.canaries(),
			Authority: authority, Accounts: accounts, Identities: identities,
		},
	}, emit)
	return running, loot, err
}

// equip decodes parameters and fills in the loot that they ask for.
func (p *player) equip(ctx context.Context, name string, with map[string]any) (json.RawMessage, []assertions.Loot, error) {
	attack, ok := scenarios.FindAttack(name)
	if !ok {
		return nil, nil, fmt.Errorf("no attack %q", name)
	}
	raw, err := scenarios.EncodeParameters(with)
	if err != nil {
		return nil, nil, err
	}
	decoded, err := attack.Decode(raw)
	if err != nil {
		return nil, nil, err
	}
	holder, ok := decoded.(attacker.LootUser)
	if !ok {
		return raw, nil, nil
	}
	var loot []assertions.Loot
	leaves, tokens := holder.Loot()
	for _, l := range leaves {
		note, err := p.leaf(ctx, l)
		if err != nil {
			return nil, nil, fmt.Errorf("leaf of %s: %w", l.Of, err)
		}
		if l.Of != "" {
			loot = append(loot, note)
		}
	}
	for _, t := range tokens {
		note, err := p.token(ctx, t)
		if err != nil {
			return nil, nil, fmt.Errorf("token of %s: %w", t.Of, err)
		}
		loot = append(loot, note)
	}
	raw, err = json.Marshal(decoded)
	return raw, loot, err
}

func (p *player) leaf(ctx context.Context, l *attacker.Leaf) (assertions.Loot, error) {
	note := assertions.Loot{Kind: "leaf", Of: l.Of, Source: "minted"}
	if l.Of == "" {
		return note, nil
	}
	w, err := p.rg.Workload(l.Of)
	if err != nil {
		return note, err
	}
	authority, err := p.stage.mesh.Authority(p.rg)
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
	note.Serial = serial(pair.Chain)
	l.Held = &attacker.KeyPair{Chain: string(pair.Chain), Key: string(pair.Key)}
	return note, nil
}

func (p *player) token(ctx context.Context, t *attacker.Token) (assertions.Loot, error) {
	note := assertions.Loot{Kind: "token", Of: t.Of, Source: "minted"}
	w, err := p.rg.Workload(t.Of)
	if err != nil {
		return note, err
	}
	if t.Kind == scenarios.KindAccount {
		return p.accountToken(ctx, w, t)
	}
	authority, err := p.stage.mesh.Authority(p.rg)
	if err != nil {
		return note, err
	}
	t.Held, err = authority.Token(ctx, identity.TokenRequest{
		Subject: w, Issuer: t.Issuer, Audience: t.Audience, Expires: fromNow(t.Expires), Starts: fromNow(t.Starts), Kid: t.Kid,
	})
	t.PublicPEM = p.rg.Issuers["main"].PEM
	return note, err
}

func fromNow(d attacker.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(d))
}
