package clusters

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
)

// A Spec asks a provider for a cluster.
type Spec struct {
	Name   string // run id: every object carries it
	Ranges int
	Probe  string // path of the probe binary
}

// A Provider makes places where workloads run.
type Provider interface {
	Name() string
	Up(ctx context.Context, spec Spec) (*Cluster, error)
}

// A Cluster is a place with ranges whose workloads run a probe each. Closing
// it undoes everything that was made, in reverse order.
type Cluster struct {
	Name     string
	Provider string
	Ranges   []Range
	Host     Host
	Undo     *Undo
}

// Host is what every provider can do for the runner and for meshes. What only
// some can do are the interfaces ProxyHost, ControlHost and FaultHost; Able
// finds them.
type Host interface {
	// Stream is the byte stream to a workload's probe. There is one a workload.
	// The context bounds the opening and not the stream.
	Stream(ctx context.Context, w Workload) (io.ReadWriteCloser, error)
}

// Able is a cluster's host as one that can do more. Its error says that the
// provider cannot do what, which is a verb with its object.
func Able[H any](c *Cluster, what string) (H, error) {
	h, ok := c.Host.(H)
	if !ok {
		return h, fmt.Errorf("provider %s cannot %s", c.Provider, what)
	}
	return h, nil
}

// A ProxyHost is a Host that runs proxies as processes. Provider local is one;
// a pod's proxies are its own.
type ProxyHost interface {
	// Scratch is a folder that only the harness and its proxies can see and
	// that is gone with the cluster.
	Scratch() string
	// Sidecar starts a proxy beside a workload's probe, in its network, and
	// captures its traffic. It ends with the cluster.
	Sidecar(ctx context.Context, w Workload, s Sidecar) (Process, error)
}

// A FaultHost is a Host that can do bad things to parts of a workload, for tests
// of the harness.
type FaultHost interface {
	Fault(ctx context.Context, w Workload, part Part, f Fault) error
}

// A Sidecar is a proxy process beside a workload.
type Sidecar struct {
	Command []string // program and arguments
	Env     []string // added to the harness's own
	Dir     string   // working folder; the harness's when empty
	Log     string   // a file for its output, in Scratch
	User    int      // it runs as this user and group; as the harness when zero. Others than the harness take root
	Capture Capture
}

// Capture redirects a workload's TCP traffic to its proxy, except what carries Mark.
type Capture struct {
	// Rules is a command that writes rules of its own in place of the
	// provider's, in the workload's network and before the proxy starts; it
	// spares the proxy by its user, and Mark is not used. Empty is none.
	Rules    []string
	Inbound  int // port that takes inbound connections
	Outbound int // port that takes outbound connections
	Mark     int // SO_MARK of the proxy's own traffic
	// Services are addresses that no host has, which only a proxy can lead
	// anywhere: they get a route, so that the capture sees them.
	Services netip.Prefix
	// Spare are ports that inbound connections reach without the proxy.
	Spare []int
}

// A Process is a program that the provider runs.
type Process interface {
	Pid() int
	// Done is closed when it has ended; Err then says how, nil never.
	Done() <-chan struct{}
	Err() error
}

// A ControlHost is a Host that runs the programs of a mesh's control plane.
// Provider local is one; on Kubernetes the cluster runs them itself.
type ControlHost interface {
	// Scratch is that of a ProxyHost.
	Scratch() string
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

// Part is a part of a workload.
type Part string

// Fault is something bad.
type Fault string

// The parts and the faults.
const (
	PartProbe Part = "probe"
	PartProxy Part = "proxy"

	FaultKill   Fault = "kill"   // SIGKILL
	FaultHang   Fault = "hang"   // SIGSTOP
	FaultResume Fault = "resume" // SIGCONT
)
