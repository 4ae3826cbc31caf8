package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// kubeconfigFile is in the home of a cluster that was prepared, for people.
const kubeconfigFile = "kubeconfig"

// Prepare makes the cluster of that name, or finds it, and gives its nodes the
// probe and the images that the engine has or can pull, so that runs need no time for
// that. The cluster stays; the result is the path of a kubeconfig for it,
// which goes with it.
func (p Provider) Prepare(ctx context.Context, probe string, images ...string) (kubeconfig string, err error) {
	if p.Options.Name == "" || !p.Keep {
		return "", errors.New("a prepared cluster needs a name and has to be kept")
	}
	s, err := p.ready(ctx)
	if err != nil {
		return "", err
	}
	name := prefix + p.Options.Name
	undo := &clusters.Undo{} // ends our use of it: it is kept
	defer func() { err = errors.Join(err, undo.Run(context.WithoutCancel(ctx))) }()
	k, err := p.cluster(ctx, name, s, undo)
	if err != nil {
		return "", fmt.Errorf("cluster %s: %w", name, err)
	}
	if _, err := k.give(ctx, probe, images); err != nil {
		return "", fmt.Errorf("cluster %s: %w", name, err)
	}
	text, err := library().KubeConfig(name, false)
	if err != nil {
		return "", fmt.Errorf("cluster %s: read its kubeconfig: %w", name, explained(err))
	}
	dir, err := homeOf(name)
	if err != nil {
		return "", err
	}
	kubeconfig = filepath.Join(dir, kubeconfigFile)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write the kubeconfig of %s: %w", name, err)
	}
	return kubeconfig, nil
}

// give loads the probe, whose reference it returns, and images.
func (k *cluster) give(ctx context.Context, probe string, images []string) (string, error) {
	dir, err := os.MkdirTemp("", "meshbreach-kind-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder: the system takes away what we cannot
	archive := filepath.Join(dir, "probe.tar")
	ref, err := kubernetes.Image(probe, archive)
	if err != nil {
		return "", err
	}
	if err := k.loadArchive(ctx, ref, archive); err != nil {
		return "", err
	}
	return ref, k.Load(ctx, images...)
}

// Give puts the probe, and images that the engine has or can pull, on the nodes
// of any cluster of kind on this machine, whoever made it, and returns the
// probe's reference. kind knows the cluster by that name, and kubeconfigs as
// kind-NAME. Note is told what takes long.
func Give(ctx context.Context, name, probe string, note func(string), images ...string) (ref string, err error) {
	names, err := library().List()
	if err != nil {
		return "", fmt.Errorf("list clusters: %w", explained(err))
	}
	if !slices.Contains(names, name) {
		return "", fmt.Errorf("no kind cluster on this machine is named %s", name)
	}
	k, err := open(name, note)
	if err != nil {
		return "", fmt.Errorf("cluster %s: %w", name, err)
	}
	if ref, err = k.give(ctx, probe, images); err != nil {
		return "", fmt.Errorf("cluster %s: %w", name, err)
	}
	return ref, nil
}
