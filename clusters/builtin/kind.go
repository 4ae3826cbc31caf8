package builtin

import (
	"context"
	"errors"

	"github.com/meshbreach/meshbreach/clusters"
)

// unbuilt stands where the provider kind will.
type unbuilt struct{}

func (unbuilt) Name() string { return Kind }

func (unbuilt) Up(context.Context, clusters.Spec) (*clusters.Cluster, error) {
	return nil, errors.New("provider kind is not built yet")
}
