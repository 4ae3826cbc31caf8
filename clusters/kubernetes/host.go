// Package kubernetes runs workloads as pods of a cluster that has nodes. The
// providers kind and existing share it; they differ in where the cluster comes
// from and in what they may do to it.
package kubernetes

import (
	"context"
	"crypto"
	"errors"
	"io"
	"net"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/kubeapi"
)

// LabelRun is on everything that a run makes, with the run's name as its value.
const LabelRun = "meshbreach.test/run"

// LabelRange is on the namespaces of a range, with the range's name as its value.
const LabelRange = "meshbreach.test/range"

// Options say which cluster, and how to reach it.
type Options struct {
	Config *rest.Config
	Image  string // reference of the probe's image, which the nodes have
	// Nodes, which may be nil, is what only the owner of the nodes can do.
	Nodes Nodes
}

// Nodes is what only the owner of a cluster's nodes can do.
type Nodes interface {
	// Follow gives every new line of a control-plane node's file until the
	// context ends.
	Follow(ctx context.Context, file string, line func([]byte)) error
	// Read reads a control-plane node's file.
	Read(ctx context.Context, file string) ([]byte, error)
}

// ErrNoNodes is for what only the owner of the nodes can do.
var ErrNoNodes = errors.New("the cluster's nodes are not ours")

// A Dress changes a workload's pod before it is made: labels, annotations,
// volumes, containers of the mesh.
type Dress func(w clusters.Workload, pod *corev1.Pod)

// A Host runs workloads as pods. Its ranges have namespaces when Up returns;
// the mesh has their pods made, by Launch, when it is ready for them.
type Host struct{}

var _ clusters.Host = (*Host)(nil)

// Up makes the ranges' namespaces on a cluster: range RUN-rN has RUN-rN-prod
// and so on, and its workloads' Namespace says so. It makes no pods.
func Up(ctx context.Context, o Options, spec clusters.Spec) (*clusters.Cluster, error) {
	return nil, errors.New("not built yet")
}

// API is the cluster's API as its administrator sees it.
func (h *Host) API() *kubeapi.Client { return nil }

// Config is how the API is reached.
func (h *Host) Config() *rest.Config { return nil }

// Namespace makes a namespace that goes with the cluster.
func (h *Host) Namespace(ctx context.Context, name string, labels map[string]string) error {
	return nil
}

// Apply makes objects, in their order, that go with the cluster.
func (h *Host) Apply(ctx context.Context, objects ...kubeapi.Object) error { return nil }

// Launch makes the accounts, pods and services of a range, waits until they
// are ready and fills in where they are: Address of everybody, VIP of who
// serves. A nil dress changes nothing.
func (h *Host) Launch(ctx context.Context, r *clusters.Range, dress Dress) error { return nil }

// Pod is the name of a workload's pod, in its Namespace.
func Pod(w clusters.Workload) string { return "" }

// Deployed waits until all replicas of a deployment are the newest and ready,
// and nothing of an older one is left; with none wanted, until nothing is left.
func (h *Host) Deployed(ctx context.Context, namespace, name string) error { return nil }

// Dial connects to a port of a pod's loopback interface, by the API server.
func (h *Host) Dial(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	return nil, nil
}

// Follow gives every line that a container logs, from its start until the
// context ends; a container that was started again is followed again.
func (h *Host) Follow(ctx context.Context, namespace, pod, container string, line func([]byte)) error {
	return nil
}

// Exec runs a command in a container and returns what it wrote.
func (h *Host) Exec(ctx context.Context, namespace, pod, container string, command ...string) ([]byte, error) {
	return nil, nil
}

// Audit gives every event of the API's audit log until the context ends.
// ErrNoNodes where there is none to be had.
func (h *Host) Audit(ctx context.Context, line func([]byte)) error { return nil }

// AccountKey is the key that the API signs account tokens with; ErrNoNodes
// where it is not ours.
func (h *Host) AccountKey(ctx context.Context) (crypto.Signer, error) { return nil, nil }

// Stream is the session with a workload's probe, kept open by a relay.
func (h *Host) Stream(w clusters.Workload) (io.ReadWriteCloser, error) { return nil, nil }

// Sidecar is an error: a pod's proxies are its own.
func (h *Host) Sidecar(context.Context, clusters.Workload, clusters.Sidecar) (clusters.Process, error) {
	return nil, errors.New("a pod's proxies are its own")
}

// Scratch is a folder that is gone with the cluster.
func (h *Host) Scratch() string { return "" }

// Fault does something bad to a part of a workload.
func (h *Host) Fault(w clusters.Workload, part clusters.Part, f clusters.Fault) error { return nil }
