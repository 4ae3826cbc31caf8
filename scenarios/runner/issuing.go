package runner

import (
	"context"
	"fmt"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/signals"
	"github.com/meshbreach/meshbreach/scenarios"
)

// authority is where workloads of the range ask for leaves; nil where they ask
// nobody. The conversion does not compile when a field of one type is not in the
// other.
func (p *player) authority() *attacker.Authority {
	mesh, ok := p.stage.mesh.(meshes.Issuing)
	if !ok {
		return nil
	}
	out := attacker.Authority(mesh.Endpoint(p.rg))
	return &out
}

// everybody is what is known of everybody in the range: the accounts and the
// identities by cast name, with the control plane's own.
func (p *player) everybody(authority *attacker.Authority) (accounts, identities map[string]string) {
	accounts, identities = map[string]string{}, map[string]string{}
	for _, w := range p.rg.Workloads {
		identities[w.Name] = w.ID()
		accounts[w.Name] = w.Namespace + "/" + w.Account
	}
	if authority != nil && authority.Identity != "" {
		identities[signals.FromAuthority] = authority.Identity
	}
	return accounts, identities
}

// runs says whether somebody runs what is submitted to the platform.
func (p *player) runs() bool {
	a := p.authority()
	return a != nil && a.PodImage != ""
}

// accountToken fills in a token of a workload's account.
func (p *player) accountToken(ctx context.Context, w clusters.Workload, t *attacker.Token) (assertions.Loot, error) {
	note := assertions.Loot{Kind: "account-token", Of: t.Of}
	mesh, ok := p.stage.mesh.(meshes.AccountTokens)
	if !ok {
		return note, fmt.Errorf("mesh %s knows no tokens of accounts", p.opts.Mesh.Describe().Name)
	}
	form := identity.AccountForm(t.Form)
	if t.Form == "bound" {
		form = identity.FormBound
	}
	var err error
	t.Held, note.Source, err = mesh.AccountToken(ctx, p.rg, identity.AccountTokenRequest{Of: w, Audience: t.Audience, Form: form, Expires: fromNow(t.Expires)})
	return note, err
}

// live ends or begins a part of a workload's life.
func (p *player) live(ctx context.Context, step scenarios.Step) assertions.Change {
	part, verb, do := step.Delete, "delete", meshes.Lifecycle.Delete
	if step.Recreate != "" {
		part, verb, do = step.Recreate, "recreate", meshes.Lifecycle.Recreate
	}
	what := fmt.Sprintf("%s the %s of %s", verb, part, step.Of)
	mesh, ok := p.stage.mesh.(meshes.Lifecycle)
	if !ok {
		return assertions.Change{What: what, Error: "mesh " + p.opts.Mesh.Describe().Name + " knows no lives of workloads"}
	}
	w, err := p.rg.Workload(step.Of)
	if err != nil {
		return assertions.Change{What: what, Error: err.Error()}
	}
	return p.changeWithin(ctx, p.patience(lifeLimit), what, func(ctx context.Context) (clusters.Revision, error) {
		return do(mesh, ctx, p.rg, w, part)
	})
}
