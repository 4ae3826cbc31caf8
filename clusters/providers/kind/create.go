package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	kindcluster "sigs.k8s.io/kind/pkg/cluster"
	kindexec "sigs.k8s.io/kind/pkg/exec"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

const (
	// createTime bounds the making of a cluster whose node image is there.
	createTime = 5 * time.Minute
	// logTime bounds the saving of its logs when that failed.
	logTime = time.Minute
)

// create makes a cluster and waits until its nodes are ready.
func (p Provider) create(ctx context.Context, name string, s state, h *home) (*cluster, error) {
	image, err := p.nodeImage(ctx)
	if err != nil {
		return nil, err
	}
	lowers, err := lowersScores(ctx, image)
	if err != nil {
		return nil, err
	}
	l := layout(name, h.policy(), p.Nodes, p.Keep, host{oldCgroups: s.Cgroups == "1", keepsScores: !lowers})
	dir, err := os.MkdirTemp("", "meshbreach-kind-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithTimeout(ctx, createTime)
	defer cancel()
	err = provision(ctx, name,
		kindcluster.CreateWithV1Alpha4Config(l),
		kindcluster.CreateWithNodeImage(image),
		// Its kubeconfig would else go into the user's.
		kindcluster.CreateWithKubeconfigPath(filepath.Join(dir, "kubeconfig")),
		kindcluster.CreateWithRetain(true), // for its logs
	)
	var k *cluster
	if err == nil {
		k, err = open(name, p.note)
	}
	if err == nil {
		err = k.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make it of %s: %w", image, err), p.saveLogs(ctx, name))
	}
	return k, nil
}

// provision has kind make a cluster. kind knows no contexts, but without its
// containers it fails by itself.
func provision(ctx context.Context, name string, options ...kindcluster.CreateOption) error {
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = library().Create(name, options...)
	}()
	select {
	case <-ended:
		return explained(err)
	case <-ctx.Done():
	}
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := remove(again, name); err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		select {
		case <-ended:
			return context.Cause(ctx)
		case <-again.Done():
			return errors.Join(context.Cause(ctx), fmt.Errorf("kind is still running: %w", context.Cause(again)))
		case <-tick.C:
		}
	}
}

// library is kind itself, on the same engine as ours.
func library() *kindcluster.Provider {
	return kindcluster.NewProvider(kindcluster.ProviderWithDocker())
}

// explained is what went wrong in a command of kind or of the engine, with
// what can be done where we know.
func explained(err error) error {
	if err == nil {
		return nil
	}
	if run := kindexec.RunErrorForError(err); run != nil {
		if said := lastLine(string(run.Output)); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "no space left on device"):
		return fmt.Errorf("the container engine's disk is full; docker system df shows with what: %w", err)
	case strings.Contains(text, "port is already allocated"), strings.Contains(text, "address already in use"):
		return fmt.Errorf("another program took the port; try again: %w", err)
	}
	return err
}

// ready waits until every node is.
func (k *cluster) ready(ctx context.Context) error {
	config, err := k.config()
	if err != nil {
		return err
	}
	api, err := clientset.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting, err := unready(ctx, api)
		if err == nil && waiting == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = errors.New(waiting)
			}
			return fmt.Errorf("its nodes are not ready: %w", errors.Join(context.Cause(ctx), err))
		case <-tick.C:
		}
	}
}

// unready names a node that is not ready, with the reason, or nothing.
func unready(ctx context.Context, api clientset.Interface) (string, error) {
	nodes, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for _, n := range nodes.Items {
		reason := "it has said nothing yet"
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady {
				reason = c.Message
				if c.Status == corev1.ConditionTrue {
					reason = ""
				}
			}
		}
		if reason != "" {
			return n.Name + ": " + reason, nil
		}
	}
	if len(nodes.Items) == 0 {
		return "there is none", nil
	}
	return "", nil
}

// saveLogs writes the logs of a cluster that failed, where they are wanted.
// Tokens are taken out of the audit log before it leaves the node: its API
// server goes on writing to the file that is replaced.
func (p Provider) saveLogs(ctx context.Context, name string) error {
	if p.LogDir == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTime)
	defer cancel()
	nodes, err := library().ListInternalNodes(name)
	if err != nil || len(nodes) == 0 {
		return err
	}
	for _, n := range nodes {
		_, err := engine{}.run(ctx, "exec", n.String(), "sh", "-c",
			`for f in "$0"/*; do [ ! -f "$f" ] || sed -i "$1" "$f"; done`, auditLogs, kubeapi.HideTokens)
		if err != nil {
			return fmt.Errorf("save the logs of %s: hide its tokens: %w", n, err)
		}
	}
	dir := filepath.Join(p.LogDir, name)
	done := make(chan error, 1)
	go func() { done <- library().CollectLogs(name, dir) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("save its logs in %s: %w", dir, err)
	}
	p.note("the logs of its nodes are in " + dir)
	return nil
}
