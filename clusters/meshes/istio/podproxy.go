package istio

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
	"github.com/meshbreach/meshbreach/clusters/proxy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

const (
	containerProxy = "istio-proxy"
	// portWorker is where the workers of the Envoy answer, on the pod's loopback
	// link.
	portWorker = 15099
)

// podProxy is an Envoy in a pod.
type podProxy struct {
	runtime  *podRuntime
	workload clusters.Workload
	admin    admin

	mu      sync.Mutex
	old     string    // the leaf that has to be replaced, DER
	trusted []byte    // the roots that the agent was seen to verify istiod with
	asked   time.Time // when it was last asked for others; zero when it has them
	seen    time.Time // when the pod was last looked at
	ailing  error     // what was seen then
}

var _ instance = (*podProxy)(nil)

func (p *podRuntime) newPodProxy(w clusters.Workload) *podProxy {
	// The pod began with the roots of its time.
	one := &podProxy{runtime: p, workload: w, trusted: p.ca.Bundle()}
	one.admin = newAdmin(p.mesh, one.dial)
	return one
}

func (p *podProxy) pod() string { return kubernetes.Pod(p.workload) }

func (p *podProxy) client() admin { return p.admin }

func (p *podProxy) dial(ctx context.Context) (net.Conn, error) {
	return p.runtime.host.Dial(ctx, p.workload.Namespace, p.pod(), portWorker)
}

func (p *podProxy) exec(ctx context.Context, command ...string) ([]byte, error) {
	return p.runtime.host.Exec(ctx, p.workload.Namespace, p.pod(), containerProxy, command...)
}

// delivered is what the agent wrote last, the leaf and its key in one reading.
func (p *podProxy) delivered(ctx context.Context) (identity.KeyPair, error) {
	both, err := p.exec(ctx, "cat", dirData+"/"+fileChain, dirData+"/"+fileKey)
	if err != nil {
		return identity.KeyPair{}, err
	}
	var pair identity.KeyPair
	for {
		block, rest := pem.Decode(both)
		if block == nil {
			return pair, nil
		}
		if text := pem.EncodeToMemory(block); block.Type == "CERTIFICATE" {
			pair.Chain = append(pair.Chain, text...)
		} else {
			pair.Key = text
		}
		both = rest
	}
}

// behind compares the Envoy's with what the authority signs with now, and with
// the leaf that has to be replaced. What the agent has is not looked at: it
// hands on at once what it gets.
func (p *podProxy) behind(ctx context.Context, leaf, roots []byte) ([]string, error) {
	keys, err := p.runtime.ca.Signing()
	if err != nil {
		return nil, err
	}
	var missing []string
	have, signer := certificates(leaf), certificates(keys.Cert)
	p.mu.Lock()
	old := p.old
	p.mu.Unlock()
	switch {
	case len(have) == 0:
		missing = append(missing, "a leaf")
	case len(have) < 2 || have[1] != signer[0]:
		missing = append(missing, "a leaf of the signing key of now")
	case have[0] == old:
		missing = append(missing, "another leaf")
	}
	if !equalSets(roots, p.runtime.ca.Bundle()) {
		missing = append(missing, "the roots of the authority")
	}
	if len(missing) > 0 {
		return missing, nil
	}
	if ok, err := p.trusts(ctx); err != nil || !ok {
		return []string{"roots to verify istiod with"}, err
	}
	return nil, nil
}

// errFixedLife is for leaves that are to live for another time than an hour.
var errFixedLife = errors.New("how long leaves live is set when a pod is made")

// renew asks nothing of the agent, which renews by itself: Settled waits for
// it, and until what the agent knows its istiod by is up to date.
func (p *podProxy) renew(ctx context.Context, lifetime time.Duration) error {
	if lifetime != 0 && lifetime != podLeafLife {
		return fmt.Errorf("renew the leaf of %s: %w", p.workload.Name, errFixedLife)
	}
	leaf, _, err := p.admin.secrets(ctx)
	if err != nil {
		return fmt.Errorf("renew the leaf of %s: %w", p.workload.Name, err)
	}
	if chain := certificates(leaf); len(chain) > 0 {
		p.mu.Lock()
		p.old = chain[0]
		p.mu.Unlock()
	}
	// What the agent knows its istiod by is asked for now, and looked at when
	// the rest is there.
	_, err = p.trusts(ctx)
	return err
}

// fileTrust is what an agent verifies its istiod with, which comes from a
// ConfigMap of istiod's.
const fileTrust = "/var/run/secrets/istio/root-cert.pem"

// trusts says whether an agent knows all roots of the authority and no other.
// The kubelet is asked to bring the file up to date before it is looked at:
// a command in a container costs more than all other looks.
func (p *podProxy) trusts(ctx context.Context) (bool, error) {
	want := p.runtime.ca.Bundle()
	p.mu.Lock()
	done, due, early := equalSets(p.trusted, want), time.Since(p.asked) >= askEvery, p.asked.IsZero()
	if !done && due {
		p.asked = time.Now()
	}
	p.mu.Unlock()
	switch {
	case done || !due:
		return done, nil
	case early:
		return false, p.runtime.host.RefreshVolumes(ctx, p.workload.Namespace, p.pod())
	}
	roots, err := p.exec(ctx, "cat", fileTrust)
	if err != nil {
		return false, err
	}
	if !equalSets(roots, want) {
		return false, p.runtime.host.RefreshVolumes(ctx, p.workload.Namespace, p.pod())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trusted, p.asked = roots, time.Time{}
	return true, nil
}

// gone says why the proxy does not run; what was seen holds for a second.
func (p *podProxy) gone(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.seen) < askEvery {
		return p.ailing
	}
	pod, err := p.runtime.kube.CoreV1().Pods(p.workload.Namespace).Get(ctx, p.pod(), metav1.GetOptions{})
	if err != nil {
		return nil //nolint:nilerr // nothing is known, which is not that it is gone
	}
	p.seen, p.ailing = time.Now(), ended(pod)
	return p.ailing
}

func (p *podProxy) lastWords(ctx context.Context) string {
	return p.runtime.host.LastWords(ctx, p.workload.Namespace, p.pod(), containerProxy)
}

// ended is why a pod's proxy does not run as it was started. One that was
// started again has forgotten what it was asked to show.
func ended(pod *corev1.Pod) error {
	if pod.DeletionTimestamp != nil {
		return errors.New("its pod is being deleted")
	}
	for _, all := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, s := range all {
			if s.Name != containerProxy {
				continue
			}
			if t := s.State.Terminated; t != nil {
				return fmt.Errorf("its container ended with code %d: %s", t.ExitCode, t.Reason)
			}
			if s.RestartCount > 0 && s.State.Waiting != nil {
				return fmt.Errorf("its container was started %d times and waits: %s", s.RestartCount, s.State.Waiting.Reason)
			}
		}
	}
	return nil
}

// follow reads the container's log, which has both of Envoy's between what the
// agent says.
func (p *podProxy) follow(ctx context.Context, into *signals.Store) {
	proxy := proxy.Log{Workload: p.workload.Name, Address: p.workload.Address}
	parse := either(proxy)
	// A log that cannot be read says nothing: whoever waits for what it says
	// runs out of time, and nothing is concluded.
	_ = p.runtime.host.Follow(ctx, p.workload.Namespace, p.pod(), containerProxy, func(line []byte) { note(into, parse, line) })
}
