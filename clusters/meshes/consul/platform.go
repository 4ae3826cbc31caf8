package consul

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// The labels of what a run makes on the platform.
const (
	labelRun   = "meshbreach.test/run"
	labelRange = "meshbreach.test/range"
)

// tokenLife is that of the tokens that workloads log in with, as of those that
// a kubelet mounts.
const tokenLife = time.Hour

// The account by which the servers ask about tokens, and the life of its token.
const (
	reviewerNamespace = "consul"
	reviewerAccount   = "consul-auth-method"
	reviewerLife      = 24 * time.Hour
)

// A platform is the Kubernetes API whose accounts workloads log in by: one for
// all ranges, whose namespaces are RANGE-NAMESPACE.
type platform struct {
	api      *kubeapi.API
	run      string
	reviewer string // token; secret
	started  chan struct{}
	err      error // why it did not start; to be read once started is closed
}

// startPlatform begins to start it.
func startPlatform(ctx context.Context, h clusters.ControlHost, programs map[string]string, run string, at netip.Addr) *platform {
	p := &platform{run: run, started: make(chan struct{})}
	go func() {
		defer close(p.started)
		if p.api, p.err = (kubeapi.Options{Lean: true}).Start(ctx, h, programs, at); p.err == nil {
			p.reviewer, p.err = p.api.Reviewer(ctx, reviewerNamespace, reviewerAccount, reviewerLife)
		}
	}()
	return p
}

// ready waits for it.
func (p *platform) ready(ctx context.Context) error {
	defer clusters.StartWait(ctx, "the Kubernetes API").Done()
	select {
	case <-p.started:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the Kubernetes API: %w", context.Cause(ctx))
	}
}

// host is where a server reaches the API.
func (p *platform) host() string {
	return "https://" + netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), kubeapi.Port).String()
}

// namespaceOf is a namespace's name on the platform.
func namespaceOf(r clusters.Range, namespace string) string { return r.Name + "-" + namespace }

// pod is a workload as the platform knows it.
func (p *platform) pod(w clusters.Workload, host netip.Addr) kubeapi.Pod {
	name := strings.ReplaceAll(w.Name, "/", "-")
	return kubeapi.Pod{
		Namespace: w.Namespace, Name: name, Account: w.Account,
		Labels:  map[string]string{"app": name, labelRun: p.run},
		Address: w.Address, Host: host,
	}
}

func (p *platform) account(w clusters.Workload) kubeapi.Object {
	return kubeapi.Account(w.Namespace, w.Account, map[string]string{labelRun: p.run})
}

// deploy makes the accounts and pods of a range's meshed workloads.
func (p *platform) deploy(ctx context.Context, r clusters.Range, host netip.Addr) error {
	var namespaces, pods errgroup.Group
	seen := map[string]bool{}
	for _, w := range r.Workloads {
		if w.Meshed && !seen[w.Namespace] {
			seen[w.Namespace] = true
			labels := map[string]string{labelRange: r.Name, labelRun: p.run}
			namespaces.Go(func() error { return p.api.Apply(ctx, kubeapi.Namespace(w.Namespace, labels)) })
		}
	}
	if err := namespaces.Wait(); err != nil {
		return err
	}
	for _, w := range r.Workloads {
		if !w.Meshed {
			continue
		}
		pods.Go(func() error {
			if err := p.api.Apply(ctx, p.account(w)); err != nil {
				return err
			}
			return p.api.Run(ctx, p.pod(w, host))
		})
	}
	return pods.Wait()
}
