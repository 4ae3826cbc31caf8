package attacks

import (
	"context"
	"errors"
	"net/http"

	"github.com/meshbreach/meshbreach/attacker"
)

// LabelNamespace has the parameters of label-namespace.
type LabelNamespace struct {
	Submission
	// In names the cast member whose namespace gets the labels.
	In string `json:"in,omitempty" jsonschema:"required"`
	// Labels are what is set.
	Labels map[string]string `json:"labels,omitempty" jsonschema:"required"`
}

// Check refuses parameters that say too little.
func (p *LabelNamespace) Check() error {
	return errors.Join(
		named("in", p.In, "whose namespace gets the labels"),
		refuse(len(p.Labels) == 0, "labels have to be named: what is set"),
		p.Submission.Check(),
	)
}

func labelNamespace() attacker.Attack {
	return attacker.New("label-namespace", "Change the labels of a namespace",
		`Uses an account's token to ask the platform's API to set labels on a namespace.
A mesh uses such labels to choose the pods that get a proxy. The attack succeeds
if the API returns the labels as requested. The labels are removed afterwards.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p LabelNamespace, emit func(attacker.Observation)) error {
			path, err := namespaceOf(t, p.In)
			if err != nil {
				return err
			}
			labels := func(values any) any { return map[string]any{"metadata": map[string]any{"labels": values}} }
			none := map[string]any{}
			for key := range p.Labels {
				none[key] = nil
			}
			return p.submit(ctx, f, t, nonce(), apiObject{
				owner: p.In, path: path, patch: true, body: labels(p.Labels),
				undo: &change{method: http.MethodPatch, path: path, body: labels(none)},
			}, emit)
		})
}
