package kubeapi

import (
	"context"
	"net/netip"

	"github.com/meshbreach/meshbreach/clusters"
)

// Options say what is needed of an API. The zero value is all of it.
type Options struct {
	// Lean leaves out the kinds of workload controllers: what remains is pods,
	// accounts and their tokens, RBAC, and what the server itself cannot be
	// without. It saves a quarter of the start and 35 MB.
	Lean bool
}

// Start starts all of an API, as Options.Start does.
func Start(ctx context.Context, h clusters.ControlHost, programs map[string]string, advertise netip.Addr) (*API, error) {
	return Options{}.Start(ctx, h, programs, advertise)
}

// groups are the server's arguments about the kinds that it serves.
func (o Options) groups() []string {
	if !o.Lean {
		return nil
	}
	// The admission plugins that are always on read some of these.
	on := "api/all=false,api/v1=true"
	for _, group := range []string{
		"admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization",
		"coordination", "discovery", "networking", "node", "rbac.authorization", "scheduling", "storage",
	} {
		on += "," + group + ".k8s.io/v1=true"
	}
	return []string{"--runtime-config=" + on}
}
