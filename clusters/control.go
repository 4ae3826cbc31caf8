package clusters

import (
	"context"
	"net"
	"net/netip"
)

// A ControlHost is a Host that also runs the programs of a mesh's control
// plane. Provider local is one; on Kubernetes the cluster runs them itself.
type ControlHost interface {
	// Control joins the control network to every range and returns the address
	// that workloads of a range reach it at. A second call does nothing new.
	Control(ctx context.Context, r Range) (netip.Addr, error)
	// Service starts a program in the control network. It ends with the cluster.
	Service(ctx context.Context, s Service) (Process, error)
	// Dial connects from within the control network.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// FaultService does something bad to a service, for tests of the harness.
	FaultService(name string, f Fault) error
}

// A Service is a program of a control plane.
type Service struct {
	Name    string
	Command []string // program and arguments
	Env     []string // added to the harness's own
	Dir     string   // working folder; Scratch when empty
	Log     string   // a file for its output, in Scratch
}
