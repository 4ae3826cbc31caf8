package kind

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// cluster is one whose nodes are there.
type cluster struct {
	name   string
	nodes  []nodes.Node
	first  nodes.Node // the control plane
	passes bool       // with its run
	tell   func(string)
}

var (
	_ kubernetes.Nodes     = (*cluster)(nil)
	_ kubernetes.Loader    = (*cluster)(nil)
	_ kubernetes.Signaller = (*cluster)(nil)
	_ kubernetes.Passing   = (*cluster)(nil)
)

// open finds the nodes of a cluster. Tell is told what takes long.
func open(name string, tell func(string)) (*cluster, error) {
	all, err := library().ListInternalNodes(name)
	if err != nil {
		return nil, fmt.Errorf("list its nodes: %w", explained(err))
	}
	k := &cluster{name: name, nodes: all, tell: tell}
	if k.first, err = nodeutils.BootstrapControlPlaneNode(all); err != nil {
		return nil, fmt.Errorf("find its control plane: %w", explained(err))
	}
	return k, nil
}

// config is how its API is reached. No file is written.
func (k *cluster) config() (*rest.Config, error) {
	text, err := library().KubeConfig(k.name, false)
	if err != nil {
		return nil, fmt.Errorf("read its kubeconfig: %w", explained(err))
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(text))
	if err != nil {
		return nil, errors.New("read its kubeconfig: it is not a kubeconfig") // the text has a key
	}
	return config, nil
}

// Passes says whether the cluster is its run's own and goes with it.
func (k *cluster) Passes() bool { return k.passes }

// version is that of its Kubernetes, without a v.
func (k *cluster) version(ctx context.Context) (string, error) {
	v, err := k.Read(ctx, "/kind/version")
	if err != nil {
		return "", fmt.Errorf("read its version: %w", err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(v)), "v"), nil
}

// follow ends with its standard input: that of a process in a node which
// nobody listens to any more would else stay.
const follow = `{ tail -n +1 -F "$0" 2>/dev/null & t=$!; cat > /dev/null; kill "$t"; } | sed -u "$1"`

// longest is the length of a line that is still read, in bytes.
const longest = 32 << 20

// Follow gives every line of a control-plane node's file, from its start, until
// the context ends. Tokens in it stay on the node.
func (k *cluster) Follow(ctx context.Context, file string, line func([]byte)) error {
	// Not killed by the context but asked to end; see follow.
	cmd := engine{}.command(context.WithoutCancel(ctx), "exec", "-i", k.first.String(), "sh", "-c", follow, file, kubeapi.HideTokens)
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("follow %s of %s: %w", file, k.first, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("follow %s of %s: %w", file, k.first, err)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("follow %s of %s: %w", file, k.first, err)
	}
	defer context.AfterFunc(ctx, func() { _ = in.Close() })()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, longest)
	lines.Split(whole)
	for lines.Scan() {
		line(bytes.Clone(lines.Bytes()))
	}
	_ = in.Close()
	_, _ = io.Copy(io.Discard, out) // what came after a line that was too long
	err = errors.Join(lines.Err(), cmd.Wait())
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("follow %s of %s: it ended: %w", file, k.first, errors.Join(err, errors.New(lastLine(complaint.String()))))
}

// whole are the lines of a text; a last one that has no end is none.
func whole(data []byte, atEOF bool) (int, []byte, error) {
	if atEOF && bytes.IndexByte(data, '\n') < 0 {
		return len(data), nil, nil
	}
	return bufio.ScanLines(data, atEOF)
}

// Read reads a control-plane node's file.
func (k *cluster) Read(ctx context.Context, file string) ([]byte, error) {
	out, err := engine{}.run(ctx, "exec", k.first.String(), "cat", file)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", file, k.first, err)
	}
	return out, nil
}

// Signal kills, hangs or resumes all processes of a container.
func (k *cluster) Signal(ctx context.Context, node, id string, f clusters.Fault) error {
	signals := map[clusters.Fault]string{clusters.FaultKill: "KILL", clusters.FaultHang: "STOP", clusters.FaultResume: "CONT"}
	signal, ok := signals[f]
	if !ok {
		return fmt.Errorf("signal %s on %s: no such fault", f, node)
	}
	// The runtime signals only the first process of a container.
	_, err := engine{}.run(ctx, "exec", node, "sh", "-c",
		`pids=$(ctr --namespace k8s.io tasks ps "$0" | awk 'NR > 1 { print $1 }') && kill -s "$1" $pids`, id, signal)
	if err != nil {
		return fmt.Errorf("%s container %s on %s: %w", f, id, node, err)
	}
	return nil
}
