package istio

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

func (p *podRuntime) endpoint() string { return p.api443 }

// injectors are istiod's webhook, as the charts make it. It is the range's own,
// and istiod keeps its certificate in it, which stays.
func (p *podRuntime) injectors(ctx context.Context, failOpen bool) error {
	return p.pilot.failOpen(ctx, failOpen)
}

func (p *podRuntime) issuer() string { return p.cluster.issuer }

// runsPods: the nodes do, and a label asks for the range's own istiod.
func (p *podRuntime) runsPods() (image, pull string, labels map[string]string) {
	image, policy := p.host.Probe()
	return image, string(policy), p.asks()
}

// tokenPod is a pod of the same account. Tokens are bound to it, and it may be
// deleted: deleting the workload's own pod would end its probe and lose
// everything that the probe saw.
func tokenPod(w clusters.Workload) kubeapi.Pod {
	return kubeapi.Pod{Namespace: w.Namespace, Name: pod(w) + "-token-pod", Account: w.Account, Labels: map[string]string{"sidecar.istio.io/inject": "false"}}
}

// bound is the workload's own pod, or the token pod where the workload may
// come and go; that one is made at the first time, and what was deleted since
// stays so.
func (p *podRuntime) bound(ctx context.Context, w clusters.Workload) (kubeapi.Pod, error) {
	if !p.renewable(w) {
		return kubeapi.Pod{Namespace: w.Namespace, Name: kubernetes.Pod(w), Account: w.Account}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tokenPods[w.Name] {
		return tokenPod(w), nil
	}
	err := p.host.TokenPod(ctx, tokenPod(w))
	p.tokenPods[w.Name] = err == nil
	return tokenPod(w), err
}

// renewable says whether a workload may come and go on its platform during a
// run. One does in the scenarios; every other proxy has its token from the
// kubelet.
func (p *podRuntime) renewable(w clusters.Workload) bool { return w.Replaceable() }

// tokenSecret is where the injected proxy of a workload has its token from.
func (p *podRuntime) tokenSecret(ctx context.Context, w clusters.Workload) error {
	token, err := p.api.AccountToken(ctx, tokenPod(w), false, audience, 24*time.Hour)
	if err != nil {
		return err
	}
	return p.host.Apply(ctx, kubeapi.Object{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]any{"namespace": w.Namespace, "name": pod(w) + "-istio-token"},
		"data":     map[string]any{"istio-token": base64.StdEncoding.EncodeToString([]byte(token))},
	})
}

func (p *podRuntime) make(ctx context.Context, w clusters.Workload, what identity.Life) error {
	switch what {
	case identity.LifePod:
		return p.host.TokenPod(ctx, tokenPod(w))
	case identity.LifeAccount:
		if err := p.host.Apply(ctx, kubeapi.Account(w.Namespace, w.Account, nil)); err != nil {
			return err
		}
		if p.renewable(w) {
			return p.tokenSecret(ctx, w)
		}
		return nil
	}
	return errNoPart
}

// errOwn is for workloads whose end would take their probe along, or leave their
// proxy with a token that the kubelet keeps.
var errOwn = errors.New("its pod and its account are in use; only those of a replaceable workload may come and go")

func (p *podRuntime) end(ctx context.Context, w clusters.Workload, what identity.Life) error {
	if !p.renewable(w) {
		return errOwn
	}
	switch what {
	case identity.LifePod:
		return p.api.Delete(ctx, tokenPod(w).Ref())
	case identity.LifeAccount:
		return p.api.Delete(ctx, kubeapi.AccountRef(w.Namespace, w.Account))
	}
	return errNoPart
}

func (p *podRuntime) begin(ctx context.Context, w clusters.Workload, what identity.Life) error {
	if err := p.make(ctx, w, what); err != nil {
		return err
	}
	if s := p.proxies[w.Name]; s != nil && what == identity.LifeAccount {
		return p.host.RefreshVolumes(ctx, w.Namespace, s.pod())
	}
	return nil
}

func (p *podRuntime) legacyToken(ctx context.Context, w clusters.Workload) (string, error) {
	return p.api.LegacyToken(ctx, tokenPod(w))
}

func (p *podRuntime) signBound(ctx context.Context, w clusters.Workload, audience string, issued, expires time.Time) (string, error) {
	key, err := p.host.AccountKey(ctx)
	if err != nil {
		return "", fmt.Errorf("sign a token of %s: %w", w.Name, err)
	}
	is, err := p.bound(ctx, w)
	if err != nil {
		return "", err
	}
	return p.api.SignBound(ctx, kubeapi.Signer{Key: key, Issuer: p.issuer()}, is, audience, issued, expires)
}
