package builtin

import (
	"context"

	"github.com/meshbreach/meshbreach/clusters/existing"
)

// Down removes what is left of a cluster or of a run of that name, and what any
// run left where none is named: on the cluster that the place's context names,
// or of provider kind where it names none. Note is told each thing that is
// removed; a provider that lives in kernel namespaces leaves nothing.
func (p Place) Down(ctx context.Context, name string) error {
	if p.Context != "" || p.Kubeconfig != "" {
		return existing.Down(ctx, p.existing(), name)
	}
	return nil
}
